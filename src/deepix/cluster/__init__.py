"""Many machines: the jobs of a folder, or a bucket, done by the processes of a Ray cluster.

storage.Folder.chunks ─▶ plan.tasks ─▶ engine.results (actors run actor.do) ─▶ record.Record
"""
