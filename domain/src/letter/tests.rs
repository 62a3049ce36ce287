use super::*;
use crate::id::SecurityReportId;

const SENDER: Sender<'_> = Sender { name: "Acme & Söhne", origin: "https://acme.example.com" };
const AT: UnixMs = UnixMs::new(1_795_729_620_000);

fn link() -> Link {
    Link { token: Secret::new("fht_dG9rZW4".to_owned()), until: AT }
}

fn occasion() -> Occasion {
    Occasion { at: AT, address: [192, 0, 2, 1].into() }
}

/// One letter of each kind, and one for each change of credentials.
fn every_content() -> Vec<Content> {
    let inviter = "Ada <b>Lovelace</b>".parse().unwrap();
    let mut contents = vec![
        Content::Invitation { inviter, role: Role::SalesRep, link: link() },
        Content::VerifyEmail(link()),
        Content::ResetPassword(link()),
        Content::AlreadyMember,
        Content::NoAccount,
        Content::ConfirmNewEmail(link()),
        Content::EmailChanged(occasion()),
        Content::NewDevice { occasion: occasion(), user_agent: "Mozilla/5.0 \"><img src=x>\r\nX: y".to_owned() },
        Content::SessionReplayed(occasion()),
        Content::SecondFactorReset(occasion()),
        Content::WebhookDisabled { url: "https://hooks.example.com/a?b=<c>&d".to_owned(), gone: false },
        Content::WebhookDisabled { url: "https://hooks.example.com/".to_owned(), gone: true },
        Content::SecurityReport { reference: SecurityReportId::new(AT, [7; 10]), due: AT },
    ];
    contents.extend(
        CredentialChange::ALL.iter().map(|change| Content::CredentialChanged { change: *change, occasion: occasion() }),
    );
    contents
}

#[test]
fn a_letter_survives_its_seal_and_is_not_shown() {
    for content in every_content() {
        let letter = Letter { to: "ada@example.com".parse().unwrap(), content };
        let plaintext = letter.to_plaintext();
        assert!(Letter::from_plaintext(plaintext.expose()).as_ref() == Some(&letter), "{letter:?}");
        let kind = format!("\"kind\":\"{}\"", letter.content.kind());
        assert!(String::from_utf8_lossy(plaintext.expose()).contains(&kind), "{kind}");
        assert_eq!(format!("{letter:?}"), format!("[letter: {}]", letter.content.kind()));
    }
    assert!(Letter::from_plaintext(b"{}").is_none());
}

#[test]
fn no_letter_has_a_second_line_in_its_subject_or_markup_of_others() {
    let sender = Sender { name: "A\r\nBcc: x@example.com\u{2028}<script>", ..SENDER };
    for content in every_content() {
        let Rendered { sender, subject, text, html } = content.render(sender);
        assert!(!sender.chars().chain(subject.chars()).any(|c| c.is_control() || c == '\u{2028}'), "{subject:?}");
        assert!(!subject.is_empty() && text.contains("Bcc: x@") && html.contains("Bcc: x@"), "{subject}");
        assert!(!text.lines().chain(html.lines()).any(|line| line.starts_with("Bcc") || line.starts_with("X: y")));
        for markup in ["<script", "<img", "<b>", "src=\"", "url(", "http://"] {
            assert!(!html.contains(markup), "{markup} in {html}");
        }
    }
}

#[test]
fn a_token_stands_in_the_fragment_of_its_link_alone() {
    for content in every_content() {
        let Rendered { subject, text, html, .. } = content.render(SENDER);
        let links = text.matches("https://acme.example.com/auth/").count();
        assert_eq!(text.matches("fht_dG9rZW4").count(), links);
        assert_eq!(text.matches("#token=fht_dG9rZW4\n").count(), links);
        assert_eq!(html.matches("fht_dG9rZW4").count(), 2 * links, "behind the words and shown");
        assert!(!subject.contains("fht_"));
    }
}

/// Every letter, word for word.
#[test]
fn letters_read_like_this() {
    let shown = every_content().into_iter().map(|content| {
        let Rendered { subject, text, .. } = content.render(SENDER);
        format!("=== {}: {subject}\n{text}\n", content.kind())
    });
    insta::assert_snapshot!("letters", shown.collect::<Vec<_>>().concat());
    let html: Vec<_> = every_content().iter().take(8).step_by(7).map(|content| content.render(SENDER).html).collect();
    insta::assert_snapshot!("letters_html", html.concat());
}
