//! One bit pattern for each floating-point value: there are two zeros and many NaNs, which SQL takes for equal.

/// The number; of the zeros the positive one, of the NaNs Rust's.
#[must_use]
pub fn canonical_f32(value: f32) -> f32 {
    if value.is_nan() { f32::NAN } else { value + 0.0 }
}

/// As [`canonical_f32`].
#[must_use]
pub fn canonical_f64(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value + 0.0 }
}
