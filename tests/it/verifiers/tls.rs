//! `SSLyze`, with what Mozilla recommends for general-purpose servers.

use serde_json::{Value, json};

use super::{HOST, Scene, python};

#[tokio::test(flavor = "multi_thread")]
async fn mozillas_intermediate_recommendation_is_kept() {
    let scene = Scene::new().await;
    let report = scene.folder.path().join("sslyze.json");
    let output = python("sslyze")
        .args(["--mozilla_config=intermediate", "--early_data", "--certinfo_ca_file"])
        .arg(scene.authority.root_file(scene.folder.path()))
        .arg("--json_out")
        .arg(&report)
        .arg(format!("{HOST}:{}{{127.0.0.1}}", scene.server.http.port()))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("OK - Compliant"), "{text}\n{}", {
        String::from_utf8_lossy(&output.stderr)
    });

    // What it found itself, so that a scan that reached nothing is not taken for a good one.
    let found: Value = serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    let result = &found["server_scan_results"][0]["scan_result"];
    let shown = &result["certificate_info"]["result"]["certificate_deployments"][0]["path_validation_results"];
    let trusted =
        |one: &Value| one["trust_store"]["name"] == "Supplied CA file" && !one["verified_certificate_chain"].is_null();
    assert!(shown.as_array().unwrap().iter().any(trusted), "{shown}");
    let suites = |version: &str| result[version]["result"]["accepted_cipher_suites"].as_array().unwrap().len();
    for version in ["ssl_2_0_cipher_suites", "ssl_3_0_cipher_suites", "tls_1_0_cipher_suites", "tls_1_1_cipher_suites"]
    {
        assert_eq!(suites(version), 0, "{version}");
    }
    assert_eq!((suites("tls_1_2_cipher_suites"), suites("tls_1_3_cipher_suites")), (3, 3));
    for (check, answer, wanted) in [
        ("heartbleed", "is_vulnerable_to_heartbleed", json!(false)),
        ("openssl_ccs_injection", "is_vulnerable_to_ccs_injection", json!(false)),
        ("robot", "robot_result", json!("NOT_VULNERABLE_RSA_NOT_SUPPORTED")),
        ("tls_compression", "supports_compression", json!(false)),
        ("tls_1_3_early_data", "supports_early_data", json!(false)),
        ("session_renegotiation", "supports_secure_renegotiation", json!(true)),
        ("session_renegotiation", "is_vulnerable_to_client_renegotiation_dos", json!(false)),
        ("tls_extended_master_secret", "supports_ems_extension", json!(true)),
    ] {
        assert_eq!(result[check]["result"][answer], wanted, "{check}: {}", result[check]);
    }
}
