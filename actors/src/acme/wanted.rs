//! The hosts that certificates are wanted for. Whoever adds a kind of host adds it here, and nowhere else.

use std::collections::BTreeSet;

use freehold_domain::tenant_state::TenantState;
use freehold_storage::{StoreError, custom_domain, directory};

use crate::node::Node;

const PAGE: u32 = 1_000;
/// Subdomains that are the platform's own.
const OWN: [&str; 2] = ["api", "admin"];

/// Every host, each once.
pub(super) async fn hosts(node: &Node) -> Result<BTreeSet<String>, StoreError> {
    let mut hosts = platform(&node.settings.platform_domain);
    hosts.extend(tenants(node).await?);
    hosts.extend(custom_domains(node).await?);
    Ok(hosts)
}

/// The platform's own hosts.
fn platform(domain: &str) -> BTreeSet<String> {
    OWN.iter().map(|own| format!("{own}.{domain}")).chain([domain.to_owned()]).collect()
}

/// `{slug}.{platform}` of every tenant that is served.
async fn tenants(node: &Node) -> Result<Vec<String>, StoreError> {
    let domain = &node.settings.platform_domain;
    let (mut hosts, mut after) = (vec![], String::new());
    loop {
        let page = directory::page(&mut node.store.system_read().await?, &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(hosts) };
        after.clone_from(&last.slug);
        let served = page.iter().filter(|tenant| is_served(&tenant.state.name));
        hosts.extend(served.map(|tenant| format!("{}.{domain}", tenant.slug)));
    }
}

/// Every custom domain that leads to a tenant.
async fn custom_domains(node: &Node) -> Result<Vec<String>, StoreError> {
    let (mut hosts, mut after) = (vec![], String::new());
    loop {
        let page = custom_domain::attached_page(&mut node.store.system_read().await?, &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(hosts) };
        after.clone_from(&last.domain);
        hosts.extend(page.into_iter().map(|row| row.domain));
    }
}

/// One whose state ends by itself is served again soon; its certificate lasts for two thirds of its time at least.
fn is_served(state: &str) -> bool {
    matches!(state.parse(), Ok(TenantState::Active | TenantState::ReadOnly))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_platform_has_three_hosts_of_its_own() {
        let hosts: Vec<_> = platform("example.com").into_iter().collect();
        assert_eq!(hosts, ["admin.example.com", "api.example.com", "example.com"]);
    }

    #[test]
    fn tenants_that_are_not_served_have_none_ordered() {
        assert!(is_served("active") && is_served("read-only"));
        assert!(!is_served("suspended") && !is_served("draining") && !is_served("held") && !is_served("?"));
    }
}
