"""Where the theorems' evidence comes from, a module for each subject: runs, models, curves, and audits."""
