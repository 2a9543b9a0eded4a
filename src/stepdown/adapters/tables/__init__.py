"""Tables in files: rows of a data set, the outcome table, and the calls that an eval keeps."""
