"""The report: one page with metrics, plots and pictures of the worst errors."""
