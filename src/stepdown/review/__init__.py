"""`review`: whether a promise still holds in production; votes in, alarms and estimates out."""
