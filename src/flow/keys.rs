//! API keys, made and changed by whoever holds the admin token. What is done is known here at once, and elsewhere when
//! KV has told of it and the isolates there have forgotten what they knew.

use crate::admin::keys::{self, Act, Minted, Record};
use crate::admin::limits::query;
use crate::head::{Message, RequestHead, ResponseHead};
use crate::ports::{PortError, Ports};
use crate::respond::{self, Problem};
use crate::time::Span;

use super::gate::Gate;

/// How long the content of a request may be, in bytes.
const CONTENT_BYTES_MAX: u64 = 16 << 10;
/// How long to wait for a record, or a page of them.
const READ_BUDGET: Span = Span::from_secs(5);

/// What an act comes to: the status and the JSON, or the problem.
type Done = Result<(u16, String), Problem>;

/// The answer of the admin's endpoints for keys.
pub async fn answer<P: Ports>(
    gate: &Gate<P>,
    ports: &P,
    request: &RequestHead,
    body: Option<P::Body>,
    act: Act<'_>,
    id: &str,
) -> Message<ResponseHead, String> {
    let desk = Desk { gate, ports, id };
    match desk.act(request, body, act).await {
        Ok((status, json)) => respond::text(status, "application/json", json),
        Err(problem) => problem.into_message(),
    }
}

struct Desk<'g, P: Ports> {
    gate: &'g Gate<P>,
    ports: &'g P,
    id: &'g str,
}

impl<P: Ports> Desk<'_, P> {
    async fn act(&self, request: &RequestHead, body: Option<P::Body>, act: Act<'_>) -> Done {
        let content = self.content(body).await?;
        let (config, now) = (&self.gate.site.identity, self.ports.now());
        match act {
            Act::List => {
                let cursor = query(request.target.path_and_query(), "cursor").unwrap_or_default();
                let page = self.ports.keys("", &cursor, READ_BUDGET).await;
                page.map(|page| (200, keys::page(&page))).map_err(|error| self.unavailable(&error))
            }
            Act::Create => {
                let minted = Minted::new(&self.ports.secret());
                let record =
                    Record::create(&content, &minted, config, now).map_err(|wrong| self.wrong(wrong))?;
                self.save(&minted.id, Some(&record)).await?;
                Ok((201, keys::shown(&minted.id, Some(&record), Some(&minted.key))))
            }
            Act::Show(key) => {
                let (key, record) = self.find(key).await?;
                Ok((200, keys::shown(&key, record.as_ref(), None)))
            }
            Act::Change(key) => {
                let (key, mut record) = self.readable(key).await?;
                record.change(&content, config, now).map_err(|wrong| self.wrong(wrong))?;
                self.save(&key, Some(&record)).await?;
                Ok((200, keys::shown(&key, Some(&record), None)))
            }
            Act::Revoke(key) => {
                let (key, mut record) = self.readable(key).await?;
                record.revoke(now);
                self.save(&key, Some(&record)).await?;
                Ok((200, keys::shown(&key, Some(&record), None)))
            }
            Act::Rotate(key) => {
                let grace = keys::grace(&content).map_err(|wrong| self.wrong(wrong))?;
                let (key, mut record) = self.readable(key).await?;
                record.check_rotation(now).map_err(|wrong| Problem::plain(409, wrong, self.id))?;
                let minted = Minted::new(&self.ports.secret());
                let next = record.rotate(&key, &minted.id, grace, now);
                // The new one first: whoever is cut off between the two has one that works.
                self.save(&minted.id, Some(&next)).await?;
                self.save(&key, Some(&record)).await?;
                Ok((201, keys::shown(&minted.id, Some(&next), Some(&minted.key))))
            }
            Act::Unnamed => {
                let detail =
                    "no key is named so; allowed: the 64 hex digits of an ID, or the first 8 or more";
                Err(Problem::plain(404, detail, self.id))
            }
            Act::Delete(key) => {
                let (key, record) = self.find(key).await?;
                self.save(&key, None).await?;
                Ok((200, keys::shown(&key, record.as_ref(), None)))
            }
        }
    }

    /// The whole id and the record of a key; `None` where the record can't be read.
    async fn find(&self, id: &str) -> Result<(String, Option<Record>), Problem> {
        let none = || Problem::plain(404, "there is no such key", self.id);
        let id = if keys::is_whole(id) {
            id.to_owned()
        } else {
            let found =
                self.ports.keys(id, "", READ_BUDGET).await.map_err(|error| self.unavailable(&error))?;
            match keys::only(&found) {
                Some(id) => id.to_owned(),
                None if found.lines().count() <= 1 => return Err(none()),
                None => {
                    return Err(Problem::plain(
                        409,
                        "several keys begin so; allowed: more of its id",
                        self.id,
                    ));
                }
            }
        };
        let record = self.ports.api_key(&id, READ_BUDGET).await.map_err(|error| self.unavailable(&error))?;
        let record = record.ok_or_else(none)?;
        Ok((id, Record::read(&record)))
    }

    async fn readable(&self, id: &str) -> Result<(String, Record), Problem> {
        let (id, record) = self.find(id).await?;
        let broken = || Problem::plain(409, "the record of this key can't be read; allowed: DELETE", self.id);
        Ok((id, record.ok_or_else(broken)?))
    }

    async fn save(&self, key: &str, record: Option<&Record>) -> Result<(), Problem> {
        let text = record.map(Record::text);
        let saved = self.ports.save_key(key, text.as_deref()).await;
        self.gate.keyring.borrow_mut().forget(key);
        saved.map_err(|error| self.unavailable(&error))?;
        let done = if record.is_some() { "key-saved" } else { "key-deleted" };
        let line = [
            "{\"level\":\"info\",\"admin\":\"",
            done,
            "\",\"key\":\"",
            key,
            "\",\"request\":\"",
            self.id,
            "\"}",
        ];
        self.ports.log(&line.concat());
        Ok(())
    }

    async fn content(&self, body: Option<P::Body>) -> Result<String, Problem> {
        let Some(body) = body else { return Ok(String::new()) };
        match self.ports.collect(body, CONTENT_BYTES_MAX).await {
            Ok(bytes) => Ok(self.ports.text(&bytes)),
            Err(PortError::TooLarge) => {
                Err(Problem::plain(413, "the content is too long; allowed: up to 16 KiB", self.id))
            }
            Err(_) => Err(self.wrong("the content broke off".into())),
        }
    }

    fn wrong(&self, wrong: String) -> Problem {
        Problem::plain(400, wrong, self.id)
    }

    fn unavailable(&self, error: &PortError) -> Problem {
        Problem::reduced_capacity(["the key store does not answer: ", &error.to_string()].concat(), self.id)
    }
}
