//! `tidegate keys`: keys are made here and nowhere sent; what is printed puts them where the gate looks for them.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use tidegate::admin::keys::{Minted, Record, grace, is_id, is_whole};
use tidegate::base64url;
use tidegate::identity::hex;
use tidegate::time::Timestamp;

use crate::file::ConfigFile;

/// How many random bytes a key has.
const SECRET_BYTES: usize = 32;

#[derive(Args)]
pub struct Keys {
    #[command(subcommand)]
    act: Act,
    /// The config
    #[arg(long, global = true, default_value = "tidegate.toml")]
    config: PathBuf,
    /// Where the gate is, for its admin's endpoints
    #[arg(long, global = true, default_value = "https://api.example.com")]
    url: String,
    /// The folder of a gate on this machine (`make serve STATE=...`), instead of the deployed one
    #[arg(long, global = true)]
    local: Option<String>,
}

#[derive(Subcommand)]
enum Act {
    /// Make a key; it is shown once
    Create(Wanted),
    /// List the keys that there are
    List,
    /// Switch a key off
    Revoke {
        /// The key, or its id
        key: String,
    },
    /// Put a new key in the place of another
    Rotate {
        /// The key, or its id
        key: String,
        /// How long the old one goes on, such as 1d; it ends at once where this is missing
        #[arg(long)]
        grace: Option<String>,
    },
}

#[derive(Args)]
struct Wanted {
    /// What its bearer is entitled to; the config's default tier where this is missing
    #[arg(long)]
    tier: Option<String>,
    /// Whose it is: what is counted together
    #[arg(long)]
    subject: Option<String>,
    /// A trial: how long the tier lasts, such as 14d, or its last second since 1970
    #[arg(long)]
    until: Option<String>,
    /// The tier after the trial
    #[arg(long)]
    then: Option<String>,
    /// How long the key holds, such as 1y, or its last second since 1970
    #[arg(long)]
    not_after: Option<String>,
    /// For whoever reads the list
    #[arg(long)]
    note: Option<String>,
}

impl Wanted {
    fn json(self) -> Value {
        let moment = |text: String| text.parse::<u64>().map_or(Value::String(text), Value::from);
        let members = [
            ("tier", self.tier.map(Value::String)),
            ("subject", self.subject.map(Value::String)),
            ("until", self.until.map(moment)),
            ("then", self.then.map(Value::String)),
            ("not_after", self.not_after.map(moment)),
            ("note", self.note.map(Value::String)),
        ];
        let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(given.collect::<Map<_, _>>())
    }
}

impl Keys {
    /// What is printed.
    ///
    /// # Errors
    /// What is wrong with what was asked for.
    pub fn run(self) -> Result<String, String> {
        let config = ConfigFile::read(&self.config)?.config;
        let say = Say {
            kv: match &self.local {
                Some(state) => format!("--local --persist-to {} --binding KV", quoted(state)),
                None => "--remote --binding KV".to_owned(),
            },
            keys: format!("{}{}/admin/keys", self.url.trim_end_matches('/'), config.server.prefix.as_str()),
        };
        match self.act {
            Act::Create(wanted) => {
                let wanted = wanted.json().to_string();
                let minted = Minted::new(&secret()?);
                let record = Record::create(&wanted, &minted, &config.identity, now());
                let record = record.map_err(|wrong| format!("{wrong}\n"))?.text();
                Ok(say.created(&minted, &record, &wanted))
            }
            Act::List => Ok(say.list()),
            Act::Revoke { key } => Ok(say.revoke(&id(&key)?)),
            Act::Rotate { key, grace: span } => {
                let content = span.map_or(String::new(), |span| format!("{{\"grace\":\"{span}\"}}"));
                grace(&content).map_err(|wrong| format!("{wrong}\n"))?;
                Ok(say.rotate(&id(&key)?, &content))
            }
        }
    }
}

/// The words, with what depends on the deployment.
struct Say {
    kv: String,
    keys: String,
}

impl Say {
    fn curl(&self, method: &str, path: &str, content: &str) -> String {
        let method = if method == "GET" { String::new() } else { format!(" -X {method}") };
        let content = if content.is_empty() { String::new() } else { format!(" -d {}", quoted(content)) };
        format!(
            "  curl{method} -H \"Authorization: Bearer $TIDEGATE_ADMIN_TOKEN\"{content} {}{path}\n",
            self.keys
        )
    }

    fn created(&self, Minted { key, id }: &Minted, record: &str, wanted: &str) -> String {
        let (kv, record) = (&self.kv, quoted(record));
        format!(
            "key  {key}\nid   {id}\nThe key is shown this once; the gate knows it by its id alone.\n\n\
             Have the gate believe it:\n  npx wrangler kv key put {kv} key:{id} {record}\n\
             Or have the gate make a key of its own, and leave this one:\n{}",
            self.curl("POST", "", wanted)
        )
    }

    fn list(&self) -> String {
        format!(
            "Ask the gate, which shows their records:\n{}Or KV, for the ids alone:\n  npx wrangler kv key list {} --prefix key:\n",
            self.curl("GET", "", ""),
            self.kv
        )
    }

    fn revoke(&self, id: &str) -> String {
        format!(
            "Switch it off; its record stays:\n{}Or remove it:\n  npx wrangler kv key delete {} key:{id}\n",
            self.curl("POST", &format!("/{id}/revoke"), ""),
            self.kv
        )
    }

    fn rotate(&self, id: &str, content: &str) -> String {
        format!(
            "Have the gate make the new key, which it tells once:\n{}\
             Or make one of the same tier and subject with `tidegate keys create`, then remove the old one:\n  \
             npx wrangler kv key delete {} key:{id}\n",
            self.curl("POST", &format!("/{id}/rotate"), content),
            self.kv
        )
    }
}

/// The id of a key; what is one already stays.
///
/// # Errors
/// Where it looks like the beginning of an id, by which only a gate can find the rest.
pub fn id(key: &str) -> Result<String, String> {
    let digits = key.to_ascii_lowercase();
    match is_id(&digits) {
        true if is_whole(&digits) => Ok(digits),
        true => Err(format!(
            "`{key}` looks like the beginning of an id; allowed: a whole id, which has 64 digits, or a key (of one \
             that is nothing but such digits the id: `printf %s KEY | sha256sum`)\n"
        )),
        false => Ok(hex(&Sha256::digest(key.as_bytes()))),
    }
}

fn secret() -> Result<String, String> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| format!("this system has nothing random: {error}\n"))?;
    Ok(base64url::encode(&bytes))
}

#[expect(clippy::disallowed_methods, reason = "a command runs at a moment; the core is given it")]
pub fn now() -> Timestamp {
    Timestamp::from_secs(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// A text as a shell takes it for one word.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_itself_or_by_its_whole_id() {
        let whole = hex(&Sha256::digest(b"tg_secret"));
        assert_eq!(id("tg_secret").as_deref(), Ok(&*whole));
        assert_eq!(id(&whole.to_uppercase()).as_deref(), Ok(&*whole));
        for part in [whole.split_at(8).0, whole.split_at(63).0, "DEADBEEF"] {
            assert!(id(part).is_err_and(|wrong| wrong.contains("; allowed: ")), "{part}");
        }
        assert!(id("abc1234").is_ok() && id("my-key-00").is_ok());
    }
}
