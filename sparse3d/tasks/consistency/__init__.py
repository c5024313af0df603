"""Forms of the multi-view consistency loss, one a file; ``PretrainTask.consistency`` names the one that is taken."""
