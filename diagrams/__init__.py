"""What draws the charts. The pictures beside it are generated and committed."""
