//! Hold to ruling: who may say yes, and how long it stands
