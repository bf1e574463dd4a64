//! A config file: TOML, turned into JSON, with the line of every key.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Number, Value};
use tidegate::config::{Config, KeyPath, Problem};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// A config file without problems.
pub struct ConfigFile {
    /// What it says.
    pub config: Config,
}

impl ConfigFile {
    /// Reads a file.
    ///
    /// # Errors
    /// Every problem, one on a line: `file:line: path: what is wrong; allowed: ...`.
    pub fn read(path: &Path) -> Result<Self, String> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}\n"))?;
        let beside = path.parent().unwrap_or(Path::new("")).join("www");
        let www = [PathBuf::from("www"), beside].into_iter().find(|www| www.is_dir());
        Self::parse(&text, www.as_deref())
            .map_err(|problems| problems.iter().map(|problem| format!("{name}:{problem}\n")).collect())
    }

    fn parse(text: &str, www: Option<&Path>) -> Result<Self, Vec<String>> {
        let (document, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            return Err(syntax_errors(text, &errors));
        }
        let mut lines = Lines { text, of: BTreeMap::new() };
        let json = lines.table(document.get_ref(), &KeyPath::default());
        let checked = Config::from_json(&json).and_then(|config| match missing_files(&config, www) {
            missing if missing.is_empty() => Ok(config),
            missing => Err(missing),
        });
        match checked {
            Ok(config) => Ok(Self { config }),
            Err(mut problems) => {
                problems.sort_by_key(|problem| lines.line(problem));
                Err(problems.iter().map(|problem| format!("{}: {problem}", lines.line(problem))).collect())
            }
        }
    }
}

/// The static fallbacks that `www/` does not have, where there is one here, as in the project's own folder, or beside the
/// config.
fn missing_files(config: &Config, www: Option<&Path>) -> Vec<Problem> {
    let routes = config.routes.iter().enumerate();
    let files = routes.filter_map(|(at, route)| Some((at, route.static_fallback.as_ref()?.file.as_ref()?)));
    files
        .filter(|(_, file)| www.is_some_and(|www| !www.join(&***file).is_file()))
        .map(|(at, file)| Problem {
            path: KeyPath::of("routes").at(at).key("static_fallback").key("file"),
            message: format!("www/ has no `{file}`; allowed: a file that is there"),
        })
        .collect()
}

/// The first error of each line: what follows it there is mostly its echo.
fn syntax_errors(text: &str, errors: &[toml::de::Error]) -> Vec<String> {
    let mut first = BTreeMap::new();
    for error in errors {
        let at = error.span().map_or(0, |span| span.start);
        first.entry(line_at(text, at)).or_insert_with(|| error.message().trim().replace('\n', ", "));
    }
    first
        .iter()
        .map(|(line, message)| format!("{line}: not TOML: {message}; allowed: see https://toml.io"))
        .collect()
}

fn line_at(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// On which line each key and each item of a list stands.
struct Lines<'t> {
    text: &'t str,
    of: BTreeMap<KeyPath, usize>,
}

impl Lines<'_> {
    /// The line of what a problem is about, or of the nearest thing around it.
    fn line(&self, problem: &Problem) -> usize {
        let mut place = Some(problem.path.clone());
        while let Some(path) = place {
            if let Some(line) = self.of.get(&path) {
                return *line;
            }
            place = path.parent();
        }
        1
    }

    fn table(&mut self, table: &DeTable<'_>, path: &KeyPath) -> Value {
        let mut object = Map::new();
        for (key, value) in table {
            let name = key.get_ref().to_string();
            let path = path.key(&name);
            self.of.insert(path.clone(), line_at(self.text, key.span().start));
            object.insert(name, self.value(value, &path));
        }
        Value::Object(object)
    }

    fn value(&mut self, value: &Spanned<DeValue<'_>>, path: &KeyPath) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Integer(number) => integer(number),
            DeValue::Float(number) => {
                let number = number.as_str().parse().ok().and_then(Number::from_f64);
                number.map_or(Value::Null, Value::Number)
            }
            DeValue::Boolean(flag) => Value::Bool(*flag),
            DeValue::Datetime(moment) => Value::String(moment.to_string()),
            DeValue::Array(items) => {
                let mut list = Vec::new();
                for (at, item) in items.iter().enumerate() {
                    let path = path.at(at);
                    self.of.insert(path.clone(), line_at(self.text, item.span().start));
                    list.push(self.value(item, &path));
                }
                Value::Array(list)
            }
            DeValue::Table(table) => self.table(table, path),
        }
    }
}

fn integer(number: &DeInteger<'_>) -> Value {
    let number = i64::from_str_radix(number.as_str(), number.radix());
    number.map_or(Value::Null, |number| Value::Number(number.into()))
}
