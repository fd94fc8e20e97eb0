"""The project's addresses."""

from django.urls import path

from examples.django_app.views import look_up, place_order, send_code

urlpatterns = [path("codes", send_code), path("codes/<str:job_id>", look_up), path("orders", place_order)]
