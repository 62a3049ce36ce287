//! From a draft to text and HTML. Here, and nowhere else, words become markup.

use super::Sender;
use super::words::{Draft, Part};
use crate::text::escape_html;

/// A letter as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The name to send it under: one line.
    pub sender: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// An HTML document that says the same and loads nothing.
    pub html: String,
}

const PAGE_STYLE: &str = "font:16px/1.5 sans-serif;max-width:36em;margin:0 auto;padding:16px";

pub(super) fn render(draft: &Draft, sender: Sender<'_>) -> Rendered {
    let subject = one_line(&draft.subject);
    let name = one_line(sender.name);
    let closing = format!("{name}, {}", sender.origin);
    let (texts, parts): (Vec<_>, Vec<_>) = draft.parts.iter().map(both).unzip();
    let (text, html) = (format!("{}-- \n{closing}\n", texts.concat()), parts.concat());
    let (title, closing) = (escape_html(&subject), escape_html(&closing));
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body style=\"{PAGE_STYLE}\">\n{html}<p><small>{closing}</small></p>\n</body>\n</html>\n"
    );
    Rendered { sender: name, subject, text, html }
}

/// A part as text and as HTML.
fn both(part: &Part) -> (String, String) {
    match part {
        Part::Words(words) => {
            let words = one_line(words);
            (format!("{words}\n\n"), format!("<p>{}</p>\n", escape_html(&words)))
        }
        Part::Link { label, url } => {
            let (label, shown) = (escape_html(label), escape_html(url));
            let link = format!("<p><a href=\"{shown}\">{label}</a></p>\n<p>Or open this address: {shown}</p>\n");
            (format!("{label}:\n{url}\n\n"), link)
        }
        Part::Fact { name, value } => {
            let value = one_line(value);
            (format!("{name}: {value}\n\n"), format!("<p>{name}: {}</p>\n", escape_html(&value)))
        }
    }
}

/// The text with every control character as a space: whatever it came from, it starts no line and no header.
fn one_line(text: &str) -> String {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if breaks(c) { ' ' } else { c }).collect()
}
