"""Feedback alignment: errors travel backward through weights of their own, random, or learned from noise."""
