//! Operators of plans that are built-in functions of SQL.

use crate::v1::operation::Operator;

impl Operator {
    /// True for a built-in function, which is called by its name and checks its operands itself; false for an operator
    /// with syntax of its own.
    #[must_use]
    pub fn is_builtin_function(self) -> bool {
        match self {
            Self::Unspecified
            | Self::Plus
            | Self::Minus
            | Self::Times
            | Self::Divide
            | Self::Modulo
            | Self::Negate
            | Self::Equal
            | Self::NotEqual
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::And
            | Self::Or
            | Self::Not
            | Self::IsNull
            | Self::IsNotNull
            | Self::Cast
            | Self::TryCast
            | Self::Get
            | Self::If => false,
            Self::Like
            | Self::Upper
            | Self::Lower
            | Self::Trim
            | Self::Ltrim
            | Self::Rtrim
            | Self::CharLength
            | Self::Substring
            | Self::Concat
            | Self::Replace
            | Self::Position
            | Self::Reverse
            | Self::Repeat
            | Self::Lpad
            | Self::Rpad
            | Self::StartsWith
            | Self::EndsWith
            | Self::Abs
            | Self::Ceil
            | Self::Floor
            | Self::Round
            | Self::Sign
            | Self::Sqrt
            | Self::Power
            | Self::Exp
            | Self::Ln
            | Self::Log10
            | Self::Sin
            | Self::Cos
            | Self::Tan
            | Self::Asin
            | Self::Acos
            | Self::Atan
            | Self::Atan2
            | Self::Sinh
            | Self::Cosh
            | Self::Tanh
            | Self::Extract => true,
        }
    }
}
