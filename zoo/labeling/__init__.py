"""Labels, entities and relations of texts, by models with heads of fine-tuning."""
