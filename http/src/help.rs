//! `GET /help/roles`: what each role may do, as the policy says it that is enforced.

use std::fmt::Write as _;

use axum::response::Response;
use freehold_domain::policy::{Part, Policy, Resource};
use freehold_domain::role::Role;
use freehold_domain::text::escape_html;

use crate::access::{Public, Routes};
use crate::caller::Tenant;
use crate::headers::Nonce;
use crate::pages::page;
use crate::problem::Problem;

/// The routes.
#[must_use]
pub fn routes() -> Routes {
    Routes::default().get("/help/roles", Public, roles)
}

/// `GET /help/roles`: a page for people: what each role may do.
///
/// # Errors
/// What the tenant's activation refuses.
#[utoipa::path(get, path = "/help/roles", tag = "public", operation_id = "help_roles", responses(
    (status = 200, description = "What each role may do, resource by resource.", content_type = "text/html", body = String),
))]
pub async fn roles(nonce: Nonce, tenant: Tenant) -> Result<Response, Problem> {
    let name = escape_html(&tenant.cx.slot.name);
    let body = body(&name, &tenant.cx.node.settings.policy);
    Ok(page(nonce, &format!("Roles at {name}"), &body))
}

fn body(name: &str, policy: &Policy) -> String {
    let mut body = format!(
        "<h1>Roles at {name}</h1><p>Every member has one role. What is not named in these tables, nobody may; \
         a request that goes beyond its role is refused, whatever a page shows.</p>"
    );
    for (part, caption) in [(Part::Server, "Members and security"), (Part::Shop, "The shop")] {
        body.push_str(&table(caption, policy.resources(part)));
    }
    body
}

/// A table that a screen reader can walk: a caption, and a heading for each row and column. It scrolls by keyboard too.
fn table<'p>(caption: &str, resources: impl Iterator<Item = &'p Resource>) -> String {
    let mut html = format!(
        "<div class=\"wide\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\"><table><caption>{caption}</caption>\
         <thead><tr><th scope=\"col\">Resource</th>"
    );
    for role in Role::ALL {
        let _ = write!(html, "<th scope=\"col\">{}</th>", title(role)); // into a string: cannot fail
    }
    html.push_str("</tr></thead><tbody>");
    for resource in resources {
        let _ = write!(html, "<tr><th scope=\"row\">{}</th>", escape_html(resource.title()));
        for role in Role::ALL {
            let _ = write!(html, "<td>{}</td>", cell(resource, role));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody></table></div>");
    html
}

/// What the role may do to it, what it does not see of it, and where it may move it.
fn cell(resource: &Resource, role: Role) -> String {
    let verbs = words(&resource.verbs(role).collect::<Vec<_>>());
    if verbs.is_empty() {
        return "nothing".to_owned();
    }
    let mut lines = vec![verbs];
    let hidden = resource.hidden(role);
    if !hidden.is_empty() {
        lines.push(format!("not shown: {}", words(&hidden)));
    }
    if let Some((from, to)) = resource.moves(role) {
        let side = |statuses: &[&str]| {
            if statuses == resource.statuses() { "any status".to_owned() } else { words(statuses) }
        };
        lines.push(format!("moves from {} to {}", side(&from), side(&to)));
    }
    lines.join("<br>")
}

/// Names of the policy, as people read them. They are words of `a-z`, `0-9` and `_`: nothing needs escaping.
fn words(names: &[&str]) -> String {
    names.join(", ").replace('_', " ")
}

const fn title(role: Role) -> &'static str {
    match role {
        Role::Admin => "Admin",
        Role::SalesRep => "Sales rep",
        Role::Employee => "Employee",
    }
}

#[cfg(test)]
mod tests {
    use freehold_domain::policy::PRINT_SHOP;

    use super::*;

    #[test]
    fn the_page_says_what_the_policy_says() {
        let policy = Policy::parse(PRINT_SHOP).expect("a policy");
        let html = body("Acme", &policy);
        let row = |title: &str| {
            let row = html.split_once(&format!("<th scope=\"row\">{title}</th>")).expect(title).1;
            row.split_once("</tr>").expect(title).0.to_owned()
        };
        assert_eq!(row("Audit log"), "<td>read</td><td>nothing</td><td>nothing</td>");
        assert_eq!(row("QR scanner"), "<td>scan</td><td>nothing</td><td>scan</td>");
        assert!(
            row("Members")
                .starts_with("<td>change, deactivate, delete, invite, list, read, reset second factor</td><td>n")
        );
        let jobs = row("Jobs");
        assert!(jobs.contains("not shown: cost, margin, print locations, screen specs"), "{jobs}");
        assert!(jobs.contains("<br>moves from any status to any status</td>"), "{jobs}");
        let employee = "<td>move<br>moves from approved, finishing, prepress, printing, ready to finishing, prepress, printing, ready</td>";
        assert!(jobs.ends_with(employee), "{jobs}");
        let rows = policy.resources(Part::Server).count() + policy.resources(Part::Shop).count();
        assert_eq!(html.matches("<th scope=\"row\">").count(), rows);
        assert_eq!(html.matches("<caption>").count(), 2);
    }
}
