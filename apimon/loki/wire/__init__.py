"""The only home of Loki's JSON and protobuf: one module for each thing that is encoded or decoded."""
