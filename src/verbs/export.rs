//! `freehold member export`: a tenant's members as lines that `freehold member import` reads.

use std::io::{self, IsTerminal as _};
use std::pin::pin;

use freehold_actors::node::Node;
use freehold_actors::ops::export::{Export, Leaver, export};
use freehold_domain::slug::Slug;
use serde_json::{Map, Value, json};

use super::{patiently, refused, replies, say};
use crate::cli::Exit;
use crate::config::Config;
use crate::control::{Reply, Request};
use crate::failure::Failure;
use crate::out;

/// Runs `freehold member export`: through the running server, or with the store opened here.
///
/// # Errors
/// Exit 64 where the lines would be shown on a terminal; what the verb is refused for.
pub async fn member_export(config: &Config, slug: String) -> Result<(), Failure> {
    if io::stdout().is_terminal() {
        let message =
            "the lines hold hashes of passwords: send them to a file, or through a program that encrypts them";
        return Err(Failure::new(Exit::Usage, message));
    }
    let waiting = format!("reading the members of {slug} …");
    let mut replies = {
        let replies = pin!(replies(config, Request::MemberExport { slug }));
        patiently(replies, &waiting).await?
    };
    // The last item is about all of them.
    let last = replies.iter().rposition(|reply| matches!(reply, Reply::Item(_)));
    let summary = last.map(|at| replies.remove(at));
    say(replies)?;
    if let Some(Reply::Item(summary)) = summary {
        out::notice(&summary);
    }
    Ok(())
}

/// Every active member as a line, and then how many there are.
pub(super) async fn perform(node: &Node, slug: &Slug) -> Result<Vec<Value>, Failure> {
    let Export { members, deactivated } = export(node, slug).await.map_err(|error| refused(&error))?;
    let summary = json!({ "slug": slug.as_str(), "exported": members.len(), "deactivated": deactivated });
    Ok(members.iter().map(line).chain([summary]).collect())
}

fn line(member: &Leaver) -> Value {
    let Leaver { email, name, role, password_hash } = member;
    let hash = password_hash.as_ref().map(|hash| hash.expose().as_str());
    let mut fields = Map::from_iter([
        ("email".to_owned(), email.as_str().into()),
        ("name".to_owned(), name.as_str().into()),
        ("role".to_owned(), role.as_str().into()),
    ]);
    fields.extend(hash.map(|hash| ("password_hash".to_owned(), hash.into())));
    fields.into()
}
