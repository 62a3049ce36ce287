//! The promises as a page for people.

use std::fmt::Write as _;

use freehold_domain::text::escape_html;
use serde_json::Value;

use super::Security;
use super::entry::Entry;

/// The page's content: where the `form` for reports is, and a section a promise. Everything that is not ours is escaped.
pub(super) fn body(told: &Security<'_>, form: &str) -> String {
    let about = match told.tenant {
        Some(slug) => format!("<code>{}</code>, with what this tenant has set for itself", escape_html(slug)),
        None => "a tenant that has set nothing for itself; each tenant's own host says what it has set".to_owned(),
    };
    let broken = told.promises.iter().filter(|entry| !entry.kept).count();
    let mut html = format!(
        "<h1>Security</h1><p>What this server promises, and how it keeps it, made from the settings it runs with and not \
         written by hand. About {about}. As of <time>{at}</time>, {server}.</p><p>{count} promises, {broken} of them not \
         kept by this server; each says why. The same <a href=\"/security.json\">as JSON</a>.</p><p>Something is weak? <a href=\"{form}\">Report it</a>.</p>",
        form = escape_html(form),
        at = escape_html(&told.answered_at),
        server = escape_html(told.server),
        count = told.promises.len(),
    );
    for entry in &told.promises {
        html.push_str(&section(entry));
    }
    html
}

fn section(entry: &Entry) -> String {
    let kept = if entry.kept { "kept" } else { "not kept" };
    let mut html = format!(
        "<section><h2>{}</h2><p><strong>{kept}</strong> <code>{}</code> {}</p>",
        escape_html(entry.promise),
        escape_html(entry.id),
        escape_html(entry.how)
    );
    if let Some(why) = &entry.why_not {
        let _ = write!(html, "<p><strong>Why not:</strong> {}</p>", escape_html(why)); // into a string: cannot fail
    }
    if let Some(part) = entry.hosting_provider {
        let _ = write!(html, "<p><strong>For the hosting provider:</strong> {}</p>", escape_html(part));
    }
    if !entry.parameters.is_empty() {
        html.push_str("<div class=\"wide\" tabindex=\"0\"><table><caption>In force</caption><tbody>");
        for (name, value) in &entry.parameters {
            let (name, value) = (escape_html(&name.replace('_', " ")), escape_html(&text(value)));
            let _ = write!(html, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>");
        }
        html.push_str("</tbody></table></div>");
    }
    html + "</section>"
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_is_escaped_and_what_is_not_kept_is_said() {
        let entry = Entry::new("K1", "It is <kept>", "By \"how\".").with("a_b", "<x>").unless(true, "Off & away.");
        let told =
            Security { server: "freehold", answered_at: "now".into(), tenant: Some("acme"), promises: vec![entry] };
        let html = body(&told, "/\"form");
        assert!(html.contains("<a href=\"/&quot;form\">"), "{html}");
        assert!(html.contains("<h2>It is &lt;kept&gt;</h2>") && html.contains("<td>&lt;x&gt;</td>"), "{html}");
        assert!(html.contains("not kept") && html.contains("Off &amp; away."), "{html}");
        assert!(html.contains("1 promises, 1 of them"), "{html}");
    }
}
