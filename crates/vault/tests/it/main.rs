//! Room tests of the vault: what the keys do, and what becomes of files that somebody touched.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use vault::{Created, Error, Random, Vault};

const ULID: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

fn counting(start: u8) -> Random {
    let next = std::sync::Mutex::new(start);
    Arc::new(move |out| {
        let mut next = next.lock().unwrap();
        out.fill(*next);
        *next = next.wrapping_add(1);
    })
}

fn open(dir: &Path) -> Result<Vault, Error> {
    Vault::open(dir, counting(1)).map(|(vault, _)| vault)
}

fn key_file(name: &str, key: &[u8; 32]) -> Vec<u8> {
    let mut bytes = [b"PBKEY001".as_slice(), key].concat();
    let sum = digest(&SHA256, &[b"PBKEY001".as_slice(), name.as_bytes(), key].concat());
    bytes.extend_from_slice(sum.as_ref());
    bytes
}

#[test]
fn a_fresh_vault_is_private_and_opens_again_with_the_same_keys() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vault");
    let (vault, created) = Vault::open(&path, counting(1)).unwrap();
    assert_eq!(created, Created(true));
    let keys = vault.create_ledger_keys(ULID).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(entry.metadata().unwrap().len(), 72);
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    let ed = format!("{ULID}.ed25519");
    let ml = format!("{ULID}.mldsa44");
    assert_eq!(names, [ed.as_str(), ml.as_str(), "actors.hmac", "dedup.hmac", "views.hmac"]);

    let (again, created) = Vault::open(&path, counting(100)).unwrap();
    assert_eq!(created, Created(false));
    assert_eq!(again.dedup_tags("s", "i", b"c"), vault.dedup_tags("s", "i", b"c"));
    assert_eq!(again.views_mac(&[b"a", b"b"]), vault.views_mac(&[b"ab"]));
    assert_eq!(again.actor_ref("user", "u1"), vault.actor_ref("user", "u1"));
    assert_eq!(again.ledger_keys(ULID).unwrap().ed25519_public, keys.ed25519_public);
    assert_eq!(again.create_ledger_keys(ULID).unwrap().mldsa44_public, keys.mldsa44_public);
}

#[test]
fn tags_tell_source_id_and_content_apart() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(&dir.path().join("v")).unwrap();
    let (identity, content) = vault.dedup_tags("ab", "c", b"x");
    assert_ne!(vault.dedup_tags("a", "bc", b"x").0, identity);
    assert_eq!(vault.dedup_tags("a", "bc", b"x").1, content);
    assert_ne!(vault.dedup_tags("ab", "c", b"y").1, content);
    let actor = vault.actor_ref("user", "u1");
    assert_eq!(actor.len(), 32);
    assert!(actor.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
    assert_ne!(vault.actor_ref("service", "u1"), actor);
}

#[test]
fn macs_are_hmac_sha256() {
    // RFC 4231, test case 2 has a short key; the same through a key file of 32 bytes by a second implementation.
    use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
    let dir = tempfile::tempdir().unwrap();
    let vault = open(&dir.path().join("v")).unwrap();
    // dedup is made first, so counting(1) gives it ones, views twos.
    let second = sign(&Key::new(HMAC_SHA256, &[1; 32]), b"src\0id");
    assert_eq!(vault.dedup_tags("src", "id", b"").0, second.as_ref()[..16]);
    let second = sign(&Key::new(HMAC_SHA256, &[2; 32]), b"abc");
    assert_eq!(vault.views_mac(&[b"a", b"bc"]), second.as_ref());
    let second = sign(&Key::new(HMAC_SHA256, &[3; 32]), b"user\0ada");
    let hex: String = second.as_ref()[..16].iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(vault.actor_ref("user", "ada"), hex);
}

#[test]
fn signatures_are_those_of_the_standards() {
    // RFC 8032, section 7.1, TEST 1.
    let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v");
    let vault = open(&path).unwrap();
    for (suffix, key) in [("ed25519", &seed), ("mldsa44", &[7; 32])] {
        let name = format!("{ULID}.{suffix}");
        fs::write(path.join(&name), key_file(&name, key)).unwrap();
        fs::set_permissions(path.join(&name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let keys = vault.ledger_keys(ULID).unwrap();
    assert_eq!(keys.ed25519_public, hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
    assert_eq!(keys.sign_ed25519(b"")[..32], hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"));
    assert_eq!(keys.sign_ed25519(b"")[32..], hex("5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"));

    // ML-DSA-44: aws-lc signs hedged, so the judge is another implementation: same public key, signature accepted.
    use ml_dsa::{KeyExport as _, Keypair as _, MlDsa44, Seed, SigningKey};
    let second = SigningKey::<MlDsa44>::from_seed(&Seed::from([7; 32])).verifying_key();
    assert_eq!(keys.mldsa44_public, second.to_bytes().to_vec());
    let signature = ml_dsa::Signature::<MlDsa44>::try_from(keys.sign_mldsa44(b"message").as_slice()).unwrap();
    assert!(second.verify_with_context(b"message", &[], &signature));
    assert!(!second.verify_with_context(b"massage", &[], &signature));
}

#[test]
fn every_flipped_bit_and_every_cut_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v");
    open(&path).unwrap();
    let file = path.join("dedup.hmac");
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        fs::write(&file, bytes).unwrap();
        match open(&path) {
            Err(Error::Damaged { path, .. }) => assert_eq!(path, file),
            Err(e) => panic!("bit {at}: {e}"),
            Ok(_) => panic!("bit {at} was not noticed"),
        }
    }
    for bytes in (0..whole.len()).map(|n| whole[..n].to_vec()).chain([[whole.as_slice(), b"x"].concat()]) {
        fs::write(&file, bytes).unwrap();
        assert!(matches!(open(&path), Err(Error::Damaged { .. })));
    }
    // A whole file under another key's name is no key either.
    fs::copy(path.join("views.hmac"), &file).unwrap();
    assert!(matches!(open(&path), Err(Error::Damaged { .. })));
}

#[test]
fn a_lost_key_is_named_and_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v");
    open(&path).unwrap().create_ledger_keys(ULID).unwrap();
    for name in ["dedup.hmac", "views.hmac", "actors.hmac"] {
        let kept = fs::read(path.join(name)).unwrap();
        fs::remove_file(path.join(name)).unwrap();
        assert!(matches!(open(&path), Err(Error::Missing(p)) if p == path.join(name)));
        fs::write(path.join(name), kept).unwrap();
        fs::set_permissions(path.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::remove_file(path.join(format!("{ULID}.mldsa44"))).unwrap();
    assert!(matches!(open(&path).unwrap().ledger_keys(ULID), Err(Error::Missing(_))));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v");
    open(&path).unwrap();
    fs::set_permissions(path.join("views.hmac"), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(open(&path), Err(Error::Exposed { mode: 0o640, .. })));
    fs::set_permissions(path.join("views.hmac"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(open(&path), Err(Error::Exposed { mode: 0o755, .. })));
}

#[test]
fn unfinished_work_of_a_crash_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v");
    let vault = open(&path).unwrap();
    fs::write(path.join(format!("{ULID}.ed25519.tmp")), b"half").unwrap();
    let keys = vault.create_ledger_keys(ULID).unwrap();
    // A crash between the two keys: the first is kept, the second is made.
    fs::remove_file(path.join(format!("{ULID}.mldsa44"))).unwrap();
    let again = vault.create_ledger_keys(ULID).unwrap();
    assert_eq!(again.ed25519_public, keys.ed25519_public);
    assert!(!path.join(format!("{ULID}.ed25519.tmp")).exists());
}

#[test]
fn names_from_outside_never_become_paths() {
    let dir = tempfile::tempdir().unwrap();
    let vault = open(&dir.path().join("v")).unwrap();
    for name in ["", "../../../../etc/passwd-abcde", "01arz3ndektsv4rrffq69g5fav", "01ARZ3NDEKTSV4RRFFQ69G5FA/"] {
        assert!(matches!(vault.create_ledger_keys(name), Err(Error::Refused(_))), "{name}");
    }
}

fn hex(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    for (i, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
    }
    out
}
