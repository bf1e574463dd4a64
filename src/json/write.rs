//! Writes JSON (RFC 8259).

use super::Value;

/// Appends a text in quotes.
pub fn push_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\0'..='\x1f' => {
                out.push_str("\\u00");
                out.push(if c < '\x10' { '0' } else { '1' });
                out.extend(char::from_digit(u32::from(c) & 0xf, 16));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Appends a name and its colon, after a comma where something stands before it.
pub fn push_name(out: &mut String, name: &str) {
    if !out.ends_with('{') {
        out.push(',');
    }
    push_text(out, name);
    out.push(':');
}

impl Value {
    /// Appends the value.
    pub fn push(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Number(digits) => out.push_str(digits),
            Self::Text(text) => push_text(out, text),
            Self::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.push(out);
                }
                out.push(']');
            }
            Self::Table(table) => {
                out.push('{');
                for (name, value) in table.iter() {
                    push_name(out, name);
                    value.push(out);
                }
                out.push('}');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_what_was_read() {
        for text in
            ["null", r#"{"a":[true,false,-1.5e3],"":{},"b":[]}"#, r#"["\"\\\n\u0000\u001f\t","ü\u2028😀"]"#]
        {
            let value = Value::parse(text).unwrap();
            let mut written = String::new();
            value.push(&mut written);
            assert_eq!(Value::parse(&written), Some(value));
            let [one, other] =
                [text, &written].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
            assert_eq!(one, other, "{written}");
        }
    }
}
