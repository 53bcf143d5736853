"""What earlier orchestrators did becomes our runs: the second stage of a migration; reading until then."""
