post_fork = "collector.on_post_fork"
when_ready = "collector.on_ready"
