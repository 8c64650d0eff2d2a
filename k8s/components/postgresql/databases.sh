#!/bin/bash
# Run once, by the image, when the volume is empty: a database and a role for each user.
set -eu
psql --set=ON_ERROR_STOP=1 --username=postgres \
  --set=dagster="$DAGSTER_PG_PASSWORD" --set=mlflow="$MLFLOW_PG_PASSWORD" <<'SQL'
CREATE ROLE dagster LOGIN PASSWORD :'dagster';
CREATE DATABASE dagster OWNER dagster;
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE DATABASE mlflow OWNER mlflow;
SQL
