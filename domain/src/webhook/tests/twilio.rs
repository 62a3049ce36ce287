//! Twilio's texts: URLs with and without a port, parameters in order, bodies that only a hash in the URL signs.

use sha2::Digest as _;

use super::*;

const TOKEN: &str = "c05222328792de479402ee79e62facc5";
const RULE: Rule = Rule::Twilio(Algorithm::HmacSha1);
const FORM: &str = "application/x-www-form-urlencoded";

/// A delivery to `url`, for which `signed` was signed.
fn sent(method: &str, url: &str, (media_type, body): (&str, &str), signed: &str) -> Sent {
    let signature = STANDARD.encode(sha1(TOKEN, &[signed.as_bytes()]));
    let headers = [("Content-Type", media_type), ("X-Twilio-Signature", &signature)];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    Sent { rule: RULE, method: method.into(), url: url.into(), headers: headers.to_vec(), body: body.into() }
}

fn judged(method: &str, url: &str, body: (&str, &str), signed: &str) -> Result<(), Refusal> {
    sent(method, url, body, signed).verdict(TOKEN)
}

#[test]
fn the_example_of_twilios_own_documentation_is_accepted() {
    let body = "Digits=1234&To=%2B18005551212&From=%2B14158675310&Caller=%2B14158675310&CallSid=CA1234567890ABCDE";
    let url = "https://example.com/myapp.php?foo=1&bar=2";
    let mut sent = sent("POST", url, (FORM, body), "");
    *sent.signature() = b"L/OH5YylLD5NRKLltdqwSvS0BnU=".to_vec();
    assert_eq!(sent.verdict("12345"), Ok(()));
}

#[test]
fn parameters_are_signed_decoded_and_in_order() {
    let url = "https://a.test/x";
    for (body, signed) in [
        ("B=2&A=1", "A1B2"),
        ("a=1&B=2&b=3&A=4", "A4B2a1b3"),
        ("A=2&A=1&A=2", "A1A2"),
        ("A=b&A=B&AA=x", "ABAbAAx"),
        ("Body=+a+b+&Empty=&Bare", "BareBody a b Empty"),
        ("Body=%2B%26%3D%25&To=%2B1", "Body+&=%To+1"),
        ("Body=Zo%C3%AB+%F0%9F%96%A8&Body=z", "BodyZoë 🖨Bodyz"),
        ("a=b=c&&d=e&", "ab=cde"),
        ("Body=%zz%4", "Body%zz%4"),
        ("", ""),
    ] {
        assert_eq!(judged("POST", url, (FORM, body), &format!("{url}{signed}")), Ok(()), "{body}");
    }
    for (body, signed) in
        [("B=2&A=1", "B2A1"), ("A=2&A=1", "A2A1"), ("A=1&A=1", "A1A1"), ("A=+1", "A1"), ("A=%2B1", "A 1")]
    {
        let told = judged("POST", url, (FORM, body), &format!("{url}{signed}"));
        assert_eq!(told, Err(Refusal::WrongSecret), "{body}");
    }
}

#[test]
fn the_url_is_tried_with_and_without_its_port_and_with_its_query_escaped() {
    for (called, signed) in [
        ("https://a.test/x", "https://a.test/x"),
        ("https://a.test/x", "https://a.test:443/x"),
        ("https://a.test:443/x", "https://a.test/x"),
        ("https://a.test:8443/x", "https://a.test/x"),
        ("https://a.test:8443/x", "https://a.test:8443/x"),
        ("http://a.test/x?y=1", "http://a.test:80/x?y=1"),
        ("https://u:p@a.test/x", "https://u:p@a.test:443/x"),
        ("https://a.test/x?n=<b>", "https://a.test/x?n=<b>"),
        ("https://a.test/x?n=<b>", "https://a.test:443/x?n=<b>"),
        ("https://a.test/x?n=O'Hara", "https://a.test/x?n=O'Hara"),
        ("https://a.test/x?n=O'Hara", "https://a.test:443/x?n=O%27Hara"),
        ("https://a.test/x?n=a+b&c", "https://a.test/x?n=a%20b&c="),
    ] {
        assert_eq!(judged("POST", called, (FORM, "A=1"), &format!("{signed}A1")), Ok(()), "{called} {signed}");
    }
    for (called, signed) in [
        ("https://a.test/x", "https://a.test:80/x"),
        ("http://a.test/x", "http://a.test:443/x"),
        ("https://a.test/x", "http://a.test/x"),
        ("https://a.test/x", "https://a.test/x/"),
        ("https://a.test/x", "https://a.test/X"),
        ("https://a.test/x", "https://A.test/x"),
        ("https://a.test/x?a=1&b=2", "https://a.test/x?b=2&a=1"),
        ("https://a.test/x?a=1", "https://a.test/x"),
    ] {
        let told = judged("POST", called, (FORM, "A=1"), &format!("{signed}A1"));
        assert_eq!(told, Err(Refusal::WrongSecret), "{called} {signed}");
    }
}

#[test]
fn a_body_that_is_no_form_is_signed_by_its_hash_in_the_url() {
    let body = r#"{"hello": "wörld"}"#;
    let hash = hex(&Sha256::digest(body));
    let with = |query: &str| format!("https://a.test/x?{query}");
    let good = with(&format!("a=1&bodySHA256={hash}&b"));
    for media_type in ["application/json", "application/json; charset=utf-8", "text/plain", ""] {
        assert_eq!(judged("POST", &good, (media_type, body), &good), Ok(()), "{media_type}");
    }
    for query in [
        format!("bodySHA256={}", hash.to_uppercase()),
        format!("bodySHA256={}", &hash[..62]),
        format!("bodySHA256={hash}&bodySHA256={hash}"),
        format!("bodySHA256={}", hex(&Sha256::digest(""))),
        "bodySHA256=".to_owned(),
        "bodySHA256".to_owned(),
    ] {
        let url = with(&query);
        assert_eq!(judged("POST", &url, ("application/json", body), &url), Err(Refusal::BodyHash), "{query}");
    }
    for url in [with(""), with(&format!("bodysha256={hash}")), with(&format!("xbodySHA256={hash}"))] {
        assert_eq!(judged("POST", &url, ("application/json", body), &url), Err(Refusal::BodyNotSigned), "{url}");
    }
    for changed in flips(body.as_bytes()) {
        let sent = Sent { body: changed, ..sent("POST", &good, ("application/json", body), &good) };
        assert_eq!(sent.verdict(TOKEN), Err(Refusal::BodyHash));
    }
    // Who calls the body a form, and empties it, has not signed that.
    for form in ["", "=", "&", "=&="] {
        assert_eq!(judged("POST", &good, (FORM, form), &good), Err(Refusal::BodyHash), "{form}");
    }
    assert_eq!(judged("POST", &good, (FORM, "A=1"), &format!("{good}A1")), Ok(()));
}

#[test]
fn what_nothing_signs_is_refused() {
    let url = "https://a.test/x?CallSid=CA1";
    assert_eq!(judged("GET", url, ("", ""), url), Ok(()));
    assert_eq!(judged("GET", url, (FORM, "A=1"), url), Err(Refusal::BodyNotSigned));
    assert_eq!(judged("GET", url, (FORM, "A=1"), &format!("{url}A1")), Err(Refusal::BodyNotSigned));
    assert_eq!(judged("POST", url, ("multipart/form-data; boundary=x", "A=1"), url), Err(Refusal::BodyNotSigned));
    assert_eq!(
        judged("POST", url, ("application/x-www-form-urlencodedx", "A=1"), &format!("{url}A1")),
        Err(Refusal::BodyNotSigned)
    );
    assert_eq!(
        judged("POST", url, ("Application/X-WWW-Form-URLEncoded ;charset=x", "A=1"), &format!("{url}A1")),
        Ok(())
    );
    let mut two_types = sent("POST", url, (FORM, "A=1"), &format!("{url}A1"));
    two_types.headers.push(("content-type".into(), b"application/json".into()));
    assert_eq!(two_types.verdict(TOKEN), Err(Refusal::BodyNotSigned));
}

#[test]
fn the_algorithm_is_the_one_that_is_stored_whatever_the_request_says() {
    let [sha1, sha256] = [&SIGNERS[1], &SIGNERS[2]];
    let says = |signer: &Signer, settings: &str| {
        let mut sent = signer.good();
        sent.headers.insert(0, ("X-Twilio-Webhooks-Signature-Settings".into(), settings.into()));
        sent
    };
    let shared = "key=webhooks_sharedkey_1, algorithm=HMAC_SHA256";
    assert_eq!(says(sha256, shared).verdict(sha256.secret), Ok(()));
    assert_eq!(says(sha1, shared).verdict(sha1.secret), Ok(()), "what anybody can write is not asked");
    let other = Sent { rule: sha1.rule, ..says(sha256, shared) };
    assert_eq!(other.verdict(sha256.secret), Err(Refusal::OtherAlgorithm));
    let other = Sent { rule: sha256.rule, ..sha1.good() };
    assert_eq!(other.verdict(sha1.secret), Err(Refusal::OtherAlgorithm));
    let nonsense = says(sha1, "algorithm=NONE").signed("x");
    assert_eq!(nonsense.verdict(sha1.secret), Err(Refusal::Malformed));
}
