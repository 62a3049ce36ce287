//! What every engine must do alike. The bodies run every statement of the crate, which is asserted.

mod acme;
mod api_keys;
mod audit;
mod csp_reports;
mod custom_domains;
mod inbox;
mod integrations;
mod invitations;
mod keys;
mod known_clients;
mod mail;
mod members;
mod oauth;
mod one_time_tokens;
mod recorder;
mod roster;
mod second_factor;
mod security_reports;
mod sessions;
mod stripe;
mod system;
mod webhooks;
mod webhooks_out;

use crate::fixture::{Bed, Kind};

#[tokio::test]
async fn sqlite_keeps_the_contract() {
    keeps_the_contract(Kind::Sqlite).await;
}

#[tokio::test]
async fn postgres_keeps_the_contract() {
    keeps_the_contract(Kind::Postgres).await;
}

#[tokio::test]
async fn pgbouncer_keeps_the_contract() {
    keeps_the_contract(Kind::PgBouncer).await;
}

async fn keeps_the_contract(kind: Kind) {
    let bed = Bed::new(kind).await;
    let recorder = recorder::Recorder::begin();
    members::are_kept(&bed).await;
    members::unchecked_passwords_are_marked(&bed).await;
    members::addresses_are_changed(&bed).await;
    known_clients::are_kept_for_a_while(&bed).await;
    members::lockouts_are_counted(&bed).await;
    members::rivals_are_counted_exactly(&bed).await;
    members::rate_limits_are_kept(&bed).await;
    members::settings_are_kept(&bed).await;
    roster::members_are_looked_after(&bed).await;
    roster::one_of_two_rivals_sees_the_other_go(&bed).await;
    invitations::are_kept(&bed).await;
    sessions::families_live_and_die(&bed).await;
    sessions::one_rival_rotates(&bed).await;
    sessions::signing_keys_are_kept(&bed).await;
    second_factor::authenticators_are_kept(&bed).await;
    second_factor::backup_codes_are_kept(&bed).await;
    second_factor::challenges_are_answered(&bed).await;
    second_factor::one_rival_spends(&bed).await;
    api_keys::are_kept(&bed).await;
    custom_domains::lead_to_one_tenant(&bed).await;
    csp_reports::are_kept_once_and_in_bounds(&bed).await;
    security_reports::wait_are_answered_once_and_stay_in_bounds(&bed).await;
    webhooks::sources_are_set_and_taken_away(&bed).await;
    webhooks::events_are_kept_once(&bed).await;
    webhooks::refusals_are_counted_by_cause(&bed).await;
    webhooks_out::endpoints_are_kept(&bed).await;
    webhooks_out::messages_are_claimed_and_settled_once(&bed).await;
    webhooks_out::tenants_with_webhooks_are_told(&bed, kind != Kind::Sqlite).await;
    webhooks_out::breakers_are_remembered(&bed).await;
    inbox::events_wait_are_tried_and_done_once(&bed).await;
    inbox::one_rival_has_the_effect(&bed).await;
    inbox::tenants_with_events_are_told(&bed, kind != Kind::Sqlite).await;
    integrations::are_set_renewed_and_taken_away(&bed).await;
    integrations::one_rival_refreshes(&bed).await;
    integrations::tenants_with_tokens_are_told(&bed, kind != Kind::Sqlite).await;
    stripe::what_is_newer_stays_and_every_event_counts(&bed).await;
    stripe::rivals_fold_each_event_once(&bed).await;
    stripe::what_is_of_the_platform_stands_apart(&bed).await;
    stripe::one_thing_of_a_kind_is_made_under_one_attempt(&bed).await;
    oauth::identities_are_kept(&bed).await;
    oauth::flows_are_kept(&bed).await;
    oauth::one_rival_takes(&bed).await;
    system::directory_is_kept(&bed).await;
    system::changes_are_kept(&bed).await;
    system::feed_is_followed(&bed, kind != Kind::Sqlite).await;
    one_time_tokens::tokens_work_once_and_the_newest_alone(&bed).await;
    one_time_tokens::one_rival_spends_a_token(&bed).await;
    mail::letters_wait_are_tried_and_go(&bed).await;
    mail::one_rival_claims(&bed).await;
    mail::tenants_with_letters_are_told(&bed, kind != Kind::Sqlite).await;
    audit::rows_are_kept(&bed).await;
    audit::rivals_leave_no_gap(&bed).await;
    audit::nothing_is_taken_back(&bed, kind).await;
    keys::are_kept(&bed).await;
    keys::are_sealed_anew(&bed).await;
    acme::an_account_is_everybodys(&bed).await;
    acme::one_node_orders_and_what_it_brings_is_kept(&bed).await;
    acme::one_rival_orders(&bed).await;
    acme::challenges_are_answered_for_a_while(&bed).await;
    recorder.assert_all_ran(kind != Kind::Sqlite);
    bed.end().await;
}
