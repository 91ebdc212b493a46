"""PayPal's twin: its Orders v2 and Payments v2 wire, and the page where a payer approves."""
