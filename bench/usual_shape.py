"""The usual shape of a bring-your-own-container endpoint: Flask, pandas, XGBoost's DMatrix.

After AWS's own example for SageMaker ("scikit_bring_your_own": nginx, gunicorn with gevent workers,
Flask, ``pandas.read_csv``, ``DataFrame.to_csv``) with the predicting line of AWS's XGBoost
container. Its access logs are off, which is to its advantage.
"""

from __future__ import annotations

import functools
import io
import os

import flask
import pandas as pd
import xgboost as xgb

NGINX_CONF = """\
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr error;
events {{}}
http {{
    default_type application/octet-stream;
    access_log off;
    upstream gunicorn {{
        server unix:{socket};
    }}
    server {{
        listen {address} deferred;
        client_max_body_size 5m;
        keepalive_timeout 5;
        keepalive_requests 1000000;
        proxy_read_timeout 1200s;
        location ~ ^/(ping|invocations) {{
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Host $http_host;
            proxy_redirect off;
            proxy_pass http://gunicorn;
        }}
        location / {{
            return 404 "{{}}";
        }}
    }}
}}
"""

GUNICORN_ARGUMENTS = ["--timeout", "60", "-k", "gevent", "-w", "1", "--no-control-socket"]

app = flask.Flask(__name__)


@functools.cache
def model() -> xgb.Booster:
    return xgb.Booster({"nthread": 1}, model_file=os.environ["BENCH_BOOSTER"])


@app.get("/ping")
def ping() -> flask.Response:
    model()
    return flask.Response("\n", 200, mimetype="application/json")


@app.post("/invocations")
def invocations() -> flask.Response:
    if flask.request.content_type != "text/csv":
        return flask.Response("This predictor only supports CSV data", 415, mimetype="text/plain")
    data = pd.read_csv(io.StringIO(flask.request.data.decode("utf-8")), header=None)
    predictions = model().predict(xgb.DMatrix(data.to_numpy()), validate_features=False)
    out = io.StringIO()
    pd.DataFrame({"results": predictions}).to_csv(out, header=False, index=False)
    return flask.Response(out.getvalue(), 200, mimetype="text/csv")
