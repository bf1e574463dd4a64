//! The config on its way to the Worker: compiled and packed, and stamped by the `tidegate build` that checked it. The
//! wasm has no words for what is wrong with a config; it tells whether somebody has looked.

use sha2::{Digest, Sha256};

use super::Compiled;
use crate::identity::hex;
use crate::packed;

/// What is said of a config that is not believed.
const UNCHECKED: &str = "this is no config that `tidegate build` of the same version has checked; build it anew. \
                         `tidegate check` says what is wrong with a file, line by line";

/// The stamp of a checked text: of this version of tidegate, and of the sources that say what it means.
pub fn stamp(text: &str) -> String {
    let version = [env!("CARGO_PKG_VERSION"), packed::FORM].concat();
    hex(&Sha256::new().chain_update(version).chain_update(text).finalize())
}

impl Compiled {
    /// Itself as one text, for [`Compiled::deployed`].
    ///
    /// # Errors
    /// Where it has a part that can't be packed.
    pub fn pack(&self) -> Result<String, packed::Unreadable> {
        packed::write(self)
    }

    /// Reads what `tidegate build` wrote. What bears another stamp is not believed, readable or not: a name that it
    /// gives may not be there, and then nothing would be limited.
    ///
    /// # Errors
    /// What to do about it.
    pub fn deployed(text: &str, checked: &str) -> Result<Self, &'static str> {
        if stamp(text) != checked {
            return Err(UNCHECKED);
        }
        packed::read(text).map_err(|_| UNCHECKED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn packed_text() -> String {
        let config = r#"{"origins":{"default":{"url":"https://example.com"}}}"#;
        serde_json::from_str::<Config>(config).unwrap().compile().pack().unwrap()
    }

    #[test]
    fn what_this_version_checked_is_read() {
        let text = packed_text();
        assert_eq!(Compiled::deployed(&text, &stamp(&text)).unwrap().pack().unwrap(), text);
    }

    #[test]
    fn what_nobody_checked_is_refused_though_it_can_be_read() {
        let text = packed_text();
        let changed = text.replace("example.com", "example.org");
        let of_another_version = hex(&Sha256::digest(["0.0.0", &text].concat()));
        for (text, checked) in
            [(&text, ""), (&text, "0"), (&text, &of_another_version), (&changed, &stamp(&text))]
        {
            let wrong = Compiled::deployed(text, checked).unwrap_err();
            assert!(wrong.contains("build it anew") && wrong.contains("tidegate check"), "{wrong}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_refused_though_it_bears_the_stamp() {
        let text = packed_text();
        let (head, tail) = text.split_at(text.len() / 2);
        for wrong in ["", "7", "undefined", head, tail, &[&*text, "0:"].concat()] {
            // A type that is written as text may refuse what it finds; in the Worker that is a start that failed.
            let read = std::panic::catch_unwind(|| Compiled::deployed(wrong, &stamp(wrong)).is_ok());
            assert!(!read.unwrap_or(false), "{wrong}");
        }
    }
}
