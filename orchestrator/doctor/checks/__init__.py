"""What doctor looks at, one module for each neighbourhood; `catalogue` lists them all."""
