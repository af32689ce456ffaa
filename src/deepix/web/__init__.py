"""A page over the pipeline, where pictures are looked over, restored, compared; and an endpoint for programs.

    browser ─ guard ─▶ server ─ sessions ─▶ workshop ─▶ worker process: tasks ─▶ pipeline, images

- `server`: the addresses; `guard`: who may ask; `limits`: how much; `uploads`: bytes to files, within them
- `sessions`: whose picture is whose, and when all of it goes; `pictures`: what is known of one; `areas`: of an area
- `workshop`: the queue, and the process that works it off; `tasks`: what that process does
- `estimates`: what is kept of a restoration, for other detail of it
- `views`: pictures as a screen shows them; `outlines`: areas as paths; `strokes`: what was painted, as a mask
- `commands`: the command line that does the same; `programs`: the endpoint for programs
- `static/`: the page itself, plain files, nothing from elsewhere
"""
