"""Jobs: what is to become of one input file, done without a console, in this process or another one.

inputs.listed ─▶ names.settle ─▶ Job for each file ─▶ run ─▶ JobResult for each
"""

from deepix.jobs.job import FindJob, Job, JobResult, RestoreJob
from deepix.jobs.work import run, worked_on

__all__ = ["FindJob", "Job", "JobResult", "RestoreJob", "run", "worked_on"]
