"""Everything outside our processes: processors, Kafka, mail, SMS, the warehouse. Imports `schemas` only."""
