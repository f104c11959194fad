# SPDX-License-Identifier: Apache-2.0
"""The names and defaults of other projects, over hutch. Each module stands in for the package it is named after."""
