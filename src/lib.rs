//! tidegate: edge middleware on Cloudflare Workers.

pub mod cache;
pub mod config;
pub mod head;
pub mod identity;
pub mod limit;
pub mod origin;
pub mod record;
pub mod route;
pub mod size;
pub mod time;
