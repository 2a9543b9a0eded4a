"""The dashboard's pages: values in, finished HTML out. They know no ledger and no HTTP."""
