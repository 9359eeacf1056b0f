"""People and judges: sessions in which people label, their agreement, correction, the report card."""
