//! The accumulated ML-DSA-44 vector of C2SP/CCTV: 100 rounds of key generation, deterministic signing, verifying.

use ml_dsa::{KeyExport as _, Keypair as _, MlDsa44, Seed, SigningKey};

/// SHAKE128 (FIPS 202), enough of it to read and write a stream.
struct Shake128 {
    state: [u64; 25],
    at: usize,
    reading: bool,
}

const RATE: usize = 168;

impl Shake128 {
    fn new() -> Self {
        Self { state: [0; 25], at: 0, reading: false }
    }

    fn xor(&mut self, at: usize, byte: u8) {
        self.state[at / 8] ^= u64::from(byte) << (at % 8 * 8);
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.xor(self.at, *byte);
            self.at += 1;
            if self.at == RATE {
                keccak(&mut self.state);
                self.at = 0;
            }
        }
    }

    fn read(&mut self) -> [u8; 32] {
        if !self.reading {
            self.xor(self.at, 0x1f);
            self.xor(RATE - 1, 0x80);
            keccak(&mut self.state);
            (self.at, self.reading) = (0, true);
        }
        let mut out = [0; 32];
        for byte in &mut out {
            if self.at == RATE {
                keccak(&mut self.state);
                self.at = 0;
            }
            *byte = (self.state[self.at / 8] >> (self.at % 8 * 8)) as u8;
            self.at += 1;
        }
        out
    }
}

/// Keccak-f[1600].
fn keccak(a: &mut [u64; 25]) {
    let mut lfsr = 1_u8;
    for _ in 0..24 {
        let column: Vec<u64> = (0..5).map(|x| a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]).collect();
        for (i, lane) in a.iter_mut().enumerate() {
            *lane ^= column[(i + 4) % 5] ^ column[(i % 5 + 1) % 5].rotate_left(1);
        }
        let (mut x, mut y, mut moved) = (1, 0, a[1]);
        for t in 1..25_u32 {
            (x, y) = (y, (2 * x + 3 * y) % 5);
            moved = std::mem::replace(&mut a[x + 5 * y], moved.rotate_left(t * (t + 1) / 2 % 64));
        }
        for row in a.chunks_exact_mut(5) {
            let old: Vec<u64> = row.to_vec();
            for x in 0..5 {
                row[x] = old[x] ^ (!old[(x + 1) % 5] & old[(x + 2) % 5]);
            }
        }
        for j in 0..7 {
            a[0] ^= u64::from(lfsr & 1) << ((1 << j) - 1);
            lfsr = (lfsr << 1) ^ (0x71 * (lfsr >> 7));
        }
    }
}

#[test]
fn a_hundred_rounds_give_the_published_hash() {
    let (mut seeds, mut sum) = (Shake128::new(), Shake128::new());
    for _ in 0..100 {
        let key = SigningKey::<MlDsa44>::from_seed(&Seed::from(seeds.read()));
        sum.write(&key.verifying_key().to_bytes());
        let signature = key.expanded_key().sign_deterministic(b"", b"").unwrap();
        sum.write(&signature.encode());
        assert!(key.verifying_key().verify_with_context(b"", b"", &signature));
    }
    let expected = "d51148e1f9f4fa1a723a6cf42e25f2a99eb5c1b378b3d2dbbd561b1203beeae4";
    assert_eq!(tlog::Hash(sum.read()).hex(), expected);
}
