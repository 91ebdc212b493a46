"""`sluice reconcile`: compares the books with the processors, Kafka and the warehouse."""
