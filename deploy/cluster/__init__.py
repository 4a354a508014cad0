"""`make cluster`: the containers of deploy/docker-compose.yml, from nothing to a job that runs through them."""
