# One door for everything; `make help` lists the targets.
SHELL := /bin/bash
PROTO_OUT := libs/hansa/src

.PHONY: proto
proto: ## generate the gRPC stubs into libs/hansa (never edited by hand)
	uv run --no-sync python -m grpc_tools.protoc -Iproto --python_out=$(PROTO_OUT) --grpc_python_out=$(PROTO_OUT) --mypy_out=quiet:$(PROTO_OUT) $$(cd proto && ls hansa/v1/*.proto)
