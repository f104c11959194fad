# SPDX-License-Identifier: Apache-2.0
"""hutch: sandboxes for programs nobody trusts, without root, without a daemon."""
