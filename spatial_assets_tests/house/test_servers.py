"""The servers of the other tests work as documented."""

from __future__ import annotations

import boto3
import psycopg
import pytest
from botocore.exceptions import ClientError
from sqlalchemy.engine import make_url

from spatial_assets_tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers


def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False))


def test_the_postgis_database_transforms_coordinates(postgis_url: str) -> None:
    query = "SELECT ST_SRID(ST_Transform(ST_SetSRID(ST_Point(15, 46), 4326), 3857))"

    with connect(postgis_url) as connection:
        row = connection.execute(query).fetchone()

    assert row == (3857,)


def test_every_test_has_a_database_of_its_own(postgis_url: str) -> None:
    with connect(postgis_url) as connection:
        connection.execute("CREATE TABLE left_behind (id int)")
        row = connection.execute("SELECT count(*) FROM pg_tables WHERE tablename = 'left_behind'")

        assert row.fetchone() == (1,)


@pytest.mark.parametrize("turn", ["first", "second"])
def test_no_table_of_another_test_is_seen(postgis_url: str, turn: str) -> None:
    with connect(postgis_url) as connection:
        connection.execute("CREATE TABLE turns AS SELECT %s AS turn", (turn,))


def test_the_s3_server_keeps_an_object(s3_server: S3Server, s3_bucket: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_server.endpoint, **credentials(s3_server))

    client.put_object(Bucket=s3_bucket, Key="a/b", Body=b"pixels")

    assert client.get_object(Bucket=s3_bucket, Key="a/b")["Body"].read() == b"pixels"


def test_the_s3_server_refuses_a_wrong_secret(s3_server: S3Server, s3_bucket: str) -> None:
    wrong = {**credentials(s3_server), "aws_secret_access_key": "wrong"}
    client = boto3.client("s3", endpoint_url=s3_server.endpoint, **wrong)

    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client.put_object(Bucket=s3_bucket, Key="a", Body=b"")


def credentials(server: S3Server) -> dict[str, str]:
    return {
        "aws_access_key_id": server.access_key,
        "aws_secret_access_key": server.secret_key,
        "region_name": server.region,
    }
