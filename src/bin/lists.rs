//! `tidegate lists`: prints how the deny and the allow list are changed while the gate runs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};
use tidegate::admin::lists::entry;
use tidegate::limit::lists::List;

use crate::file::ConfigFile;
use crate::keys::{id, now, quoted};

#[derive(Args)]
pub struct Lists {
    #[command(subcommand)]
    act: Act,
    /// The config
    #[arg(long, global = true, default_value = "tidegate.toml")]
    config: PathBuf,
    /// Where the gate is, for its admin's endpoints
    #[arg(long, global = true, default_value = "https://api.example.com")]
    url: String,
}

#[derive(Subcommand)]
enum Act {
    /// Show both lists
    Show,
    /// Refuse somebody, whatever is asked for
    Deny(Wanted),
    /// Never limit nor deny somebody
    Allow(Wanted),
    /// Take somebody off a list
    Remove {
        /// The list
        list: Which,
        /// An address, a network, or `key:` and a key or its id
        who: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    Deny,
    Allow,
}

#[derive(Args)]
struct Wanted {
    /// An address such as 192.0.2.1, a network such as 2001:db8::/32, or `key:` and a key or its id
    who: String,
    /// For how long, such as 1d, or until which second since 1970; without it, until it is taken off
    #[arg(long)]
    until: Option<String>,
    /// For whoever reads the audit trail
    #[arg(long)]
    note: Option<String>,
}

/// What the admin's endpoint calls it, and who.
fn named(who: &str) -> (&'static str, String) {
    match who.strip_prefix("key:") {
        // The gate finds the rest of an id.
        Some(key) => ("key", id(key).unwrap_or_else(|_| key.to_ascii_lowercase())),
        None => ("address", who.to_owned()),
    }
}

impl Lists {
    /// What is printed.
    ///
    /// # Errors
    /// What is wrong with what was asked for.
    pub fn run(self) -> Result<String, String> {
        let config = ConfigFile::read(&self.config)?.config;
        let url = format!("{}{}/admin/lists", self.url.trim_end_matches('/'), config.server.prefix.as_str());
        let curl = |rest: &str| format!("  curl -H \"Authorization: Bearer $TIDEGATE_ADMIN_TOKEN\" {rest}\n");
        let add = |list: List, wanted: Wanted| {
            let content = wanted.content();
            entry(list, &content, now()).map_err(|wrong| format!("{wrong}\n"))?;
            Ok(curl(&format!("-d {} {url}/{}", quoted(&content), list.as_str())))
        };
        match self.act {
            Act::Show => Ok(curl(&url)),
            Act::Deny(wanted) => add(List::Deny, wanted),
            Act::Allow(wanted) => add(List::Allow, wanted),
            Act::Remove { list, who } => {
                let list = if matches!(list, Which::Deny) { List::Deny } else { List::Allow };
                let (name, who) = named(&who);
                let content = Value::Object(Map::from_iter([(name.to_owned(), Value::String(who.clone()))]));
                entry(list, &content.to_string(), now()).map_err(|wrong| format!("{wrong}\n"))?;
                Ok(curl(&format!("-X DELETE {}", quoted(&format!("{url}/{}?{name}={who}", list.as_str())))))
            }
        }
    }
}

impl Wanted {
    fn content(self) -> String {
        let (name, who) = named(&self.who);
        let moment = |text: String| text.parse::<u64>().map_or(Value::String(text), Value::from);
        let members = [
            (name, Some(Value::String(who))),
            ("until", self.until.map(moment)),
            ("note", self.note.map(Value::String)),
        ];
        let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect()).to_string()
    }
}
