"""What an anatomy is made of, beyond glands: the tissues of the schema, and what lies in stroma."""
