use proptest::prelude::*;

use super::*;

fn print_shop() -> Policy {
    Policy::parse(PRINT_SHOP).unwrap_or_else(|faults| panic!("{faults}"))
}

/// A policy that names everything the server enforces, for nobody, and then `more`.
fn nobody_and(more: &str) -> String {
    let mut lines = vec![];
    let mut last = "";
    for permission in Permission::ALL {
        if permission.resource() != last {
            last = permission.resource();
            lines.push(format!("[server.{last}]\ntitle = \"{last}\""));
        }
        lines.push(format!("may.{} = []", permission.verb()));
    }
    format!("{}\n{more}", lines.join("\n"))
}

/// The faults of a text, as `path: what`.
fn faults(text: &str) -> Vec<String> {
    let faults = Policy::parse(text).expect_err(text);
    assert_eq!(faults.to_string().lines().count(), faults.iter().count());
    faults.iter().map(|fault| format!("{}: {}", fault.at, fault.wrong)).collect()
}

#[test]
fn the_policy_names_every_permission_and_nothing_unknown() {
    let policy = print_shop();
    let named = policy.resources(Part::Server).map(|resource| resource.may.len()).sum::<usize>();
    assert_eq!(named, Permission::ALL.len());
    for permission in Permission::ALL {
        assert!(policy.may(Role::Admin, *permission), "{permission}");
        let (before, line) = line_of(*permission);
        let without = PRINT_SHOP.replacen(&format!("{before}{line}"), &before, 1);
        let at = format!("server.{}.may.{}", permission.resource(), permission.verb());
        let said = Policy::parse(&without).expect_err("it is missing").to_string();
        assert!(said.contains(&format!("{at}: is missing")), "{said}");
    }
}

/// The line of the file that says who has this permission, and what stands between it and the head of its resource.
fn line_of(permission: Permission) -> (String, &'static str) {
    let section = format!("[server.{}]", permission.resource());
    let rest = PRINT_SHOP.split_once(&section).expect("the resource is named").1;
    let verb = format!("may.{} = ", permission.verb());
    let line = rest.lines().find(|line| line.starts_with(&verb)).expect("the verb is named");
    let before = rest.split_once(line).expect("it is there").0;
    (format!("{section}{before}"), line)
}

#[test]
fn permissions_have_names_of_their_own() {
    let names: BTreeSet<_> = Permission::ALL.iter().map(|permission| permission.as_str()).collect();
    assert_eq!(names.len(), Permission::ALL.len());
    for (index, permission) in Permission::ALL.iter().enumerate() {
        assert_eq!(*permission as usize, index);
        assert_eq!(Permission::find(permission.resource(), permission.verb()), Some(*permission));
        assert_eq!(permission.to_string(), format!("{}.{}", permission.resource(), permission.verb()));
    }
    assert_eq!(Permission::find("audit", "write"), None);
}

#[test]
fn every_member_has_what_is_its_own_and_admins_alone_the_tenant() {
    let policy = print_shop();
    for permission in Permission::ALL {
        for role in [Role::SalesRep, Role::Employee] {
            assert_eq!(policy.may(role, *permission), permission.resource().starts_with("own_"), "{role} {permission}");
        }
    }
}

/// The published table, where its pages agree: role by role which resources are seen in full, in part, or not.
#[test]
fn the_published_table_is_kept() {
    use Role::{Admin, Employee, SalesRep};
    let policy = print_shop();
    let sees = |role, resource| policy.visible(role, Part::Shop, resource);
    let may = |role, resource, verb| policy.resource(Part::Shop, resource).expect("it is named").may(role, verb);

    for resource in ["activity", "customers", "invoices", "calendar", "files", "pricing"] {
        assert_eq!(sees(SalesRep, resource), Visible::Everything, "{resource}");
    }
    for resource in ["settings", "automations", "campaigns", "dtf_orders", "scheduler", "kpis", "costing"] {
        assert_eq!(sees(Admin, resource), Visible::Everything, "{resource}");
        for role in [SalesRep, Employee] {
            assert_eq!(sees(role, resource), Visible::Nothing, "{role} {resource}");
        }
    }
    for resource in ["dashboard", "activity", "jobs", "customers", "invoices", "calendar", "analytics"] {
        assert_eq!(sees(Employee, resource), Visible::Nothing, "{resource}");
    }
    for (role, creates) in [(Admin, true), (SalesRep, true), (Employee, false)] {
        assert_eq!(may(role, "jobs", "create"), creates);
        assert_eq!(may(role, "jobs", "change"), creates);
        assert_eq!(may(role, "pricing", "change"), creates);
    }
    assert!(sees(Employee, "queue").shows("status") && !sees(Employee, "queue").shows("price"));
    assert!(may(Employee, "scanner", "scan") && may(Employee, "receiving", "record"));
    assert!(may(Employee, "chat", "read_assigned") && !may(Employee, "chat", "read"));
}

#[test]
fn costs_are_hidden_from_sales() {
    let policy = print_shop();
    let hidden = |role| policy.resource(Part::Shop, "jobs").expect("jobs").hidden(role);
    assert_eq!(hidden(Role::SalesRep), ["cost", "margin", "print_locations", "screen_specs"]);
    assert_eq!(hidden(Role::Admin), Vec::<&str>::new());
    let visible = policy.visible(Role::SalesRep, Part::Shop, "jobs");
    assert!(visible.shows("price") && !visible.shows("cost") && !visible.shows("a field that nobody has named"));
    for resource in ["analytics", "dashboard"] {
        assert_eq!(policy.resource(Part::Shop, resource).expect("named").hidden(Role::SalesRep), ["profit", "revenue"]);
    }
}

#[test]
fn an_employee_moves_jobs_through_production_and_no_further() {
    let policy = print_shop();
    let may = |role, from, to| policy.may_move(role, Part::Shop, "jobs", from, to);
    for (from, to, employee, others) in [
        ("approved", "prepress", true, true),
        ("printing", "finishing", true, true),
        ("finishing", "printing", true, true),
        ("printing", "quote", false, true),
        ("ready", "invoiced", false, true),
        ("ready", "delivered", false, true),
        ("prepress", "approved", false, true),
        ("quote", "approved", false, true),
        ("invoiced", "ready", false, true),
        ("ready", "ready", false, false),
        ("ready", "lost", false, false),
        ("lost", "ready", false, false),
    ] {
        assert_eq!(may(Role::Employee, from, to), employee, "{from} {to}");
        assert_eq!(may(Role::SalesRep, from, to), others, "{from} {to}");
        assert_eq!(may(Role::Admin, from, to), others, "{from} {to}");
    }
    assert!(!policy.may_move(Role::Admin, Part::Shop, "invoices", "quote", "approved"), "it has no statuses");
}

#[test]
fn what_is_not_named_nobody_may() {
    let policy = Policy::parse(&nobody_and("[shop.a]\ntitle = \"A\"\nmay.read = []\n")).expect("a policy");
    for role in Role::ALL {
        assert!(Permission::ALL.iter().all(|permission| !policy.may(role, *permission)));
        assert_eq!(policy.visible(role, Part::Shop, "a"), Visible::Nothing);
        assert_eq!(policy.visible(role, Part::Shop, "b"), Visible::Nothing);
        assert_eq!(policy.visible(role, Part::Server, "a"), Visible::Nothing);
        assert!(!policy.may_move(role, Part::Shop, "a", "x", "y"));
    }
}

#[test]
fn every_fault_is_named_at_once() {
    let text = nobody_and(
        r#"
        [shop.jobs]
        title = ""
        may.read = ["owner", "admin", "admin"]
        may.Print = "admin"
        may.move = ["admin"]
        fields.cost = ["employee", 3]
        statuses = ["a", "b", "b", "C"]
        moves.employee = { from = ["a"], to = ["c"], by = "x" }
        moves.owner = { from = "any", to = "any" }
        colour = "red"
        [shop.other]
        title = "Other"
        may = {}
        [shop.flow]
        title = "Flow"
        may.read = []
        moves.admin = { to = "any" }
        [server.audit.extra]
        [tenant]
        "#,
    );
    let text = text.replace("[server.settings]", "[server.preferences]");
    let wanted = [
        "server.audit.extra: is none of title, may, fields, statuses, moves",
        "server.preferences.may.change: is nothing that the server knows",
        "server.preferences.may.read: is nothing that the server knows",
        "server.settings.may.change: is missing: name who may, or [] for nobody",
        "server.settings.may.read: is missing: name who may, or [] for nobody",
        "shop.flow.statuses: is missing: there are moves",
        "shop.jobs.colour: is none of title, may, fields, statuses, moves",
        "shop.jobs.fields.cost: names a role that is none of admin, sales_rep, employee",
        "shop.jobs.may.Print: is not a name: a letter of a-z, then a-z, 0-9 and _, at most 64 in all",
        "shop.jobs.may.Print: must be a list of roles",
        "shop.jobs.may.read: names a role that is none of admin, sales_rep, employee",
        "shop.jobs.may.read: names admin twice",
        "shop.jobs.moves.employee.by: is none of from, to",
        "shop.jobs.moves.employee.to: \"c\" is not among the statuses",
        "shop.jobs.moves.owner: names a role that is none of admin, sales_rep, employee",
        "shop.jobs.statuses: names \"b\" twice",
        "shop.jobs.statuses.C: is not a name: a letter of a-z, then a-z, 0-9 and _, at most 64 in all",
        "shop.jobs.title: must be one line of text",
        "shop.other.may: is empty",
        "tenant: is none of server, shop",
    ];
    assert_eq!(faults(&text), wanted);
}

#[test]
fn what_a_policy_says_agrees_with_itself() {
    let shown = "[shop.a]\ntitle = \"A\"\nmay.read = [\"admin\"]\nfields.b = [\"admin\", \"employee\"]\n";
    assert_eq!(faults(&nobody_and(shown)), ["shop.a.fields.b: is shown to employee, who may not read it"]);
    let moves = "[shop.a]\ntitle = \"A\"\nmay.move = [\"admin\"]\nstatuses = [\"b\"]\n\
                 moves.employee = { from = \"any\", to = \"any\" }\n";
    let wrong = "has moves without may.move, or may.move without moves";
    assert_eq!(
        faults(&nobody_and(moves)),
        [format!("shop.a.moves: admin {wrong}"), format!("shop.a.moves: employee {wrong}")]
    );
    let [one] = &faults("a = 1\nb = ")[..] else { panic!("one fault") };
    assert!(one.starts_with("(file): is not TOML: line 2: "), "{one}");
    assert!(faults("").len() == Permission::ALL.len());
}

proptest! {
    /// Whatever is cut out of the file or put into it: a policy or its faults, and no role gains what it was not given.
    #[test]
    fn damage_gives_faults_or_less(at in 0..PRINT_SHOP.len(), cut in 0_usize..200, put in "[\\[\\]\"=.,\n]{0,8}") {
        let bytes = PRINT_SHOP.as_bytes();
        let end = bytes.len().min(at + cut);
        let damaged = [&bytes[..at], put.as_bytes(), &bytes[end..]].concat();
        if let Ok(policy) = Policy::parse(&String::from_utf8_lossy(&damaged)) {
            let whole = print_shop();
            for role in [Role::SalesRep, Role::Employee] {
                for permission in Permission::ALL {
                    prop_assert!(!policy.may(role, *permission) || whole.may(role, *permission));
                }
            }
        }
    }

    /// For each set of roles that is written down, exactly its members may.
    #[test]
    fn who_is_named_may_and_nobody_else(named in 0_u8..8, index in 0..Permission::ALL.len()) {
        let permission = Permission::ALL[index];
        let roles: Vec<_> = Role::ALL.into_iter().enumerate().filter(|(bit, _)| named >> bit & 1 == 1).collect();
        let list: Vec<_> = roles.iter().map(|(_, role)| format!("\"{role}\"")).collect();
        let old = format!("may.{} = []", permission.verb());
        let text = nobody_and("");
        let (before, after) = text.split_once(&format!("[server.{}]", permission.resource())).expect("it is named");
        let after = after.replacen(&old, &format!("may.{} = [{}]", permission.verb(), list.join(", ")), 1);
        let policy = Policy::parse(&format!("{before}[server.{}]{after}", permission.resource())).expect("a policy");
        for role in Role::ALL {
            let is_named = roles.iter().any(|(_, named)| *named == role);
            for other in Permission::ALL {
                prop_assert_eq!(policy.may(role, *other), is_named && *other == permission);
            }
        }
    }
}
