"""What data sets are called where people read."""

DATASET_NAMES = {"affectnet": "AffectNet", "sewa": "SEWA", "afew_va": "AFEW-VA", "sewa_control": "SEWA control"}
