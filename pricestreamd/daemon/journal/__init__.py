"""What is made to last, before anybody hears of it; and what is owed."""
