//! The native command: what a person asks of a config file before it is deployed.

mod explain;
mod file;
mod keys;
mod lists;
mod module;
mod simulate;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tidegate::config::Config;

use file::ConfigFile;

/// Checks and explains a tidegate.toml, and makes of it what the Worker reads.
#[derive(Parser)]
#[command(name = "tidegate", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print every problem of a config as `file:line: path: what is wrong; allowed: ...`
    Check {
        /// The config
        #[arg(default_value = "tidegate.toml")]
        file: PathBuf,
    },
    /// Check a config and write the ES module that the Worker imports
    Build {
        /// The config
        #[arg(default_value = "tidegate.toml")]
        file: PathBuf,
        /// Where to; standard output where it is missing
        #[arg(short, long)]
        out: Option<PathBuf>,
    },
    /// Say which route a request takes and why, and what would happen to it
    Explain {
        /// GET, POST, ...
        method: String,
        /// An absolute URL, or a path
        url: String,
        /// A header field of the request, `name: value`; may be repeated
        #[arg(short = 'H', long = "header")]
        headers: Vec<String>,
        /// The config
        #[arg(long, default_value = "tidegate.toml")]
        config: PathBuf,
    },
    /// Make, list, switch off and replace API keys: prints what to do, with wrangler and by the admin's endpoints
    Keys(keys::Keys),
    /// Show and change the deny and the allow list: prints what to do, by the admin's endpoints
    Lists(lists::Lists),
    /// Send a workload through a simulated fleet, and tell what it asks of KV, Durable Objects and origins, and what
    /// that costs
    Simulate {
        /// The config; the defaults where it is missing
        file: Option<PathBuf>,
        #[command(flatten)]
        workload: simulate::Options,
    },
    /// Write a config to begin with to standard output
    Init {
        /// For a certain kind of application
        #[arg(long)]
        example: Option<Example>,
    },
}

/// Kinds of applications.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Example {
    /// A product that generates with AI: quotas an hour, a minute and a day, by tier
    Saas,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Check { file } => check(&file),
        Command::Build { file, out } => build(&file, out.as_deref()),
        Command::Explain { method, url, headers, config } => explain(&config, &method, &url, &headers),
        Command::Keys(keys) => keys.run(),
        Command::Lists(lists) => lists.run(),
        Command::Simulate { file, workload } => simulate(file.as_deref(), workload),
        Command::Init { example } => Ok(begin(example).to_owned()),
    };
    // A reader that has gone away (`tidegate explain | head`) is no failure.
    let (text, code) = match &done {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    let written = match done {
        Ok(_) => std::io::stdout().write_all(text.as_bytes()),
        Err(_) => std::io::stderr().write_all(text.as_bytes()),
    };
    written.map_or(ExitCode::FAILURE, |()| code)
}

fn begin(example: Option<Example>) -> &'static str {
    match example {
        None => include_str!("init.toml"),
        Some(Example::Saas) => include_str!("saas.toml"),
    }
}

fn check(path: &Path) -> Result<String, String> {
    let config = ConfigFile::read(path)?.config;
    let counted =
        |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    Ok(format!(
        "{}: ok, {}, {}, {}\n",
        path.display(),
        counted(config.origins.len(), "origin", "origins"),
        counted(config.routes_or_default().len(), "route", "routes"),
        counted(config.limits.policies.len(), "limit policy", "limit policies"),
    ))
}

fn build(path: &Path, out: Option<&Path>) -> Result<String, String> {
    let text = module::module(&ConfigFile::read(path)?)?;
    let Some(out) = out else { return Ok(text) };
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder
        .map_or(Ok(()), std::fs::create_dir_all)
        .and_then(|()| std::fs::write(out, text))
        .map_err(|error| format!("{}: {error}\n", out.display()))?;
    Ok(String::new())
}

fn explain(path: &Path, method: &str, url: &str, headers: &[String]) -> Result<String, String> {
    let request = explain::request(method, url, headers).map_err(|wrong| format!("{wrong}\n"))?;
    Ok(explain::explain(&ConfigFile::read(path)?.config, &request))
}

/// What is simulated where no config is given: as little as a config can say.
const LEAST: &str = r#"{"origins":{"default":{"url":"http://origin.invalid"}}}"#;

fn simulate(path: Option<&Path>, workload: simulate::Options) -> Result<String, String> {
    let config = match path {
        Some(path) => ConfigFile::read(path)?.config,
        None => serde_json::from_str(LEAST)
            .map_err(|error| error.to_string())
            .and_then(|json| Config::from_json(&json).map_err(|problems| format!("{problems:?}")))?,
    };
    Ok(simulate::simulate(&config, workload))
}
